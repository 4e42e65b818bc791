"""Single precision for functions of numbers that are written once, for both precisions.

Twice as many cars fit a vector of the processor, and their divisions and roots take half the time.
To numba a literal is a double, and makes doubles of all that it meets; so a function's constants
are narrowed in its code, and in the code of what it calls.
"""

from collections.abc import Callable
from functools import cache
from types import FunctionType
from typing import Any

import numpy as np
from numba.core import cgutils, types
from numba.extending import intrinsic, overload

from racing_env.car.kernels import inlined


@cache
def in_single_precision(function: Callable[..., Any]) -> Any:
    """An `inlined` function whose constants, and those of the functions that it calls, are float32.

    Given float32 numbers, it computes with nothing else.
    """
    plain = getattr(function, "py_func", function)
    code, around = plain.__code__, plain.__globals__
    constants = tuple(np.float32(c) if isinstance(c, float) else c for c in code.co_consts)
    called = {name: _narrowed(around[name]) for name in code.co_names if name in around}
    # a name of its own, by which numba's cache tells it from the function in double precision
    name = f"{plain.__name__}_in_single_precision"
    single = FunctionType(code.replace(co_consts=constants), {**around, **called}, name)
    single.__qualname__ = name
    return inlined(single)


def _narrowed(value: Any) -> Any:
    if isinstance(value, float):
        return np.float32(value)
    if isinstance(getattr(value, "py_func", value), FunctionType):
        return in_single_precision(value)
    return value


def single(record: Any) -> Any:
    """A named tuple of floats, in kernels too, with all of them as float32."""
    return type(record)(*(np.float32(value) for value in record))


@intrinsic
def _single(typing_context, record):
    narrow = types.NamedUniTuple(types.float32, len(record), record.instance_class)

    def codegen(context, builder, signature, arguments):
        values = cgutils.unpack_tuple(builder, arguments[0])
        values = [
            context.cast(builder, value, wide, types.float32)
            for value, wide in zip(values, record.types, strict=True)
        ]
        return context.make_tuple(builder, narrow, values)

    return narrow(record), codegen


@overload(single)
def _single_in_kernels(record):
    return lambda record: _single(record)  # type: ignore[call-arg]
