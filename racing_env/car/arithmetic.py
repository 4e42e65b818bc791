"""Elementary functions for kernels: polynomials without branches, which the compiler vectorises.

Terms are summed in pairs, which do not wait for each other; no higher power is formed than the
fourth, because in single precision the eighth of a small angle is a denormal number, for which the
processor takes its time. Errors are bounded by tests. The same operations run in the same order
wherever they are called from, so that results do not depend on a system's mathematical library.
"""

import math

import numpy as np

from racing_env.car.kernels import inlined

PI = math.pi  # a constant of a module is narrowed by `precision`, one of the library is not


@inlined
def arctangent(x):
    """atan(x), absolute error below 1e-8: odd polynomial on [-1, 1], reciprocal outside."""
    magnitude = abs(x)
    z = min(magnitude, 1.0) / max(magnitude, 1.0)
    q = z * z
    q2 = q * q
    p = 0.03978120482983581 - 0.014401345953735031 * q + q2 * 0.0024567214768574097
    p = 0.10498945375808201 - 0.07234855833926929 * q + q2 * p
    p = 0.19985906743494694 - 0.1416122901673873 * q + q2 * p
    p = 0.9999998863828523 - 0.3333259702691162 * q + q2 * p
    p = p * z
    p = p if magnitude <= 1.0 else 0.5 * PI - p
    return p if x >= 0.0 else -p


@inlined
def sine(x):
    """sin(x) for |x| <= pi, absolute error below 1e-10: odd polynomial."""
    q = x * x
    q2 = q * q
    p = 1.5874253098007007e-10 - 6.550113062625757e-13 * q
    p = 2.7556453637296696e-06 - 2.5035390237077108e-08 * q + q2 * p
    p = 0.00833333293499765 - 0.00019841244358567362 * q + q2 * p
    p = 0.9999999999426805 - 0.1666666663869165 * q + q2 * p
    return p * x


@inlined
def cosine(x):
    """cos(x) for |x| <= pi, absolute error below 1e-10."""
    return sine(0.5 * PI - abs(x))


@inlined
def wrapped_angle(x):
    """The same angle within [-pi, pi)."""
    return x - 2.0 * math.pi * np.floor((x + math.pi) * (0.5 / math.pi))
