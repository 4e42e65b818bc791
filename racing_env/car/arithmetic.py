"""Elementary functions for kernels: polynomials without branches, which the compiler vectorises.

Their errors are bounded by tests. The same operations run in the same order wherever they are
called from, so that results do not depend on a system's mathematical library.
"""

import math

import numpy as np

from racing_env.car.kernels import inlined


@inlined
def arctangent(x):
    """atan(x), absolute error below 1e-8: odd polynomial on [-1, 1], reciprocal outside."""
    magnitude = abs(x)
    z = min(magnitude, 1.0) / max(magnitude, 1.0)
    q = z * z
    q2 = q * q
    low = 0.9999998863828523 - 0.3333259702691162 * q
    low += q2 * (0.19985906743494694 - 0.1416122901673873 * q)
    high = 0.10498945375808201 - 0.07234855833926929 * q
    high += q2 * (0.03978120482983581 - 0.014401345953735031 * q)
    q4 = q2 * q2
    p = low + q4 * (high + q4 * 0.0024567214768574097)
    p = p * z
    p = p if magnitude <= 1.0 else 0.5 * math.pi - p
    return p if x >= 0.0 else -p


@inlined
def sine(x):
    """sin(x) for |x| <= pi, absolute error below 1e-10: odd polynomial."""
    q = x * x
    q2 = q * q
    low = 0.9999999999426805 - 0.1666666663869165 * q
    low += q2 * (0.00833333293499765 - 0.00019841244358567362 * q)
    high = 2.7556453637296696e-06 - 2.5035390237077108e-08 * q
    high += q2 * (1.5874253098007007e-10 - 6.550113062625757e-13 * q)
    p = low + q2 * q2 * high
    return p * x


@inlined
def cosine(x):
    """cos(x) for |x| <= pi, absolute error below 1e-10."""
    return sine(0.5 * math.pi - abs(x))


@inlined
def wrapped_angle(x):
    """The same angle within [-pi, pi)."""
    return x - 2.0 * math.pi * np.floor((x + math.pi) * (0.5 / math.pi))
