"""Operators that wrap around, where they do: on numbers and on vectors, against NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tvm
from tvm import s_tir, te, tirx

from compile.kernels.common.wrapping import wrapping_add, wrapping_mul, wrapping_sub
from targets.describe_target import tvm_target
from targets.load_target import load_target

ENDS = np.array([-(2**31), 2**31 - 1, -1, 0, 1, 2**30, -(2**30) - 3, 954437177], np.int32)
LEFT, RIGHT = (np.ascontiguousarray(array.ravel()) for array in np.meshgrid(ENDS, ENDS))


@pytest.mark.parametrize("lanes", [1, 4, 16])
@pytest.mark.parametrize(
    ("operator", "by_numpy"),
    [(wrapping_add, np.add), (wrapping_sub, np.subtract), (wrapping_mul, np.multiply)],
)
def test_they_are_modulo_2_to_the_32(
    operator: Callable[[tirx.Expr, tirx.Expr], tirx.Expr], by_numpy: np.ufunc, lanes: int
) -> None:
    a, b = (te.placeholder(LEFT.shape, "int32", name=name) for name in "ab")
    out = te.compute(LEFT.shape, lambda i: operator(a[i] + 0, b[i] + 0) >> 1, name="out")
    schedule = s_tir.Schedule(tvm.IRModule({"main": te.create_prim_func([a, b, out])}))
    (loop,) = schedule.get_loops(schedule.get_sblock("out"))
    schedule.vectorize(schedule.split(loop, [None, lanes])[1])
    library = tvm.compile(schedule.mod, target=tvm_target(load_target("host"), 1))
    found = tvm.runtime.tensor(np.zeros_like(LEFT))
    library["main"](tvm.runtime.tensor(LEFT), tvm.runtime.tensor(RIGHT), found)
    np.testing.assert_array_equal(found.numpy(), by_numpy(LEFT, RIGHT) >> 1)
