"""DropIdleLimits: a kernel limits its result where it has to, by what its calls pass."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tvm
from tvm import relax, te, tirx

from compile.kernels.common.quantize_op import QUANTIZE_INT8, ROUND_TO_INT8
from compile.kernels.common.requantize import quantize, requantize, to_float
from compile.passes.drop_idle_limits import DropIdleLimits

CHANNELS = 5
INT8 = np.array([0, -128, -128, 127], np.int32)
SMALL = np.full(CHANNELS, 0.01, np.float32)

Result = Callable[[tirx.Expr, tirx.Expr, te.Tensor], tirx.Expr]


def module(
    *calls: tuple[np.ndarray | None, np.ndarray], result: Result = requantize
) -> tvm.IRModule:
    """A kernel of ``result`` (accumulator, multiplier, quant), and a call of it for each
    (multiplier, quant); a multiplier that is None is not known."""
    acc = te.placeholder((7, CHANNELS), "int32", name="acc")
    multiplier = te.placeholder((CHANNELS,), "float32", name="multiplier")
    quant = te.placeholder((4,), "int32", name="quant")
    out = te.compute((7, CHANNELS), lambda i, j: result(acc[i, j], multiplier[j], quant))
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((7, CHANNELS), "int32"))
    m = relax.Var("m", relax.TensorType((CHANNELS,), "float32"))
    kernel = te.create_prim_func([acc, multiplier, quant, out]).without_attr("global_symbol")
    with builder.function("main", [x, m]):
        name = builder.add_func(kernel, "kernel")
        found = []
        for scale, limits in calls:
            args = [x, m if scale is None else relax.const(scale), relax.const(limits)]
            ty = relax.TensorType((7, CHANNELS), "int8")
            found.append(builder.emit(relax.op.call_tir(name, args, ty)))
        builder.emit_func_output(relax.Tuple(found))
    return builder.get()


def operators(mod: tvm.IRModule) -> set[str]:
    text = mod["kernel"].script()
    return {name for name in (QUANTIZE_INT8, ROUND_TO_INT8) if name in text}


def of_several(acc: tirx.Expr, multiplier: tirx.Expr, quant: te.Tensor) -> tirx.Expr:
    return quantize(to_float(acc) * multiplier + to_float(acc) * multiplier, quant)


def of_bytes(acc: tirx.Expr, multiplier: tirx.Expr, quant: te.Tensor) -> tirx.Expr:
    """2^22 at most."""
    integer = acc.astype("int8").astype("int32") * tirx.const(3, "int32") - quant[0]
    return quantize(to_float(integer * integer) * multiplier, quant)


def of_a_float(acc: tirx.Expr, multiplier: tirx.Expr, quant: te.Tensor) -> tirx.Expr:
    return quantize(tirx.exp(to_float(acc) * multiplier), quant)


LARGE = np.array([0.01, 0.01, 1.0, 0.01, 0.01], np.float32)
RELU = np.array([0, 3, 3, 127], np.int32)


def test_before_and_after() -> None:
    mod = module((SMALL, INT8))
    assert operators(mod) == {QUANTIZE_INT8}
    dropped = DropIdleLimits()(mod)
    assert operators(dropped) == {ROUND_TO_INT8}
    # Nothing else changes: what the operator is told beside the limits, and who calls it how.
    for before, after in zip(
        mod["kernel"].script().split("\n"), dropped["kernel"].script().split("\n"), strict=True
    ):
        expected = before.replace(QUANTIZE_INT8, ROUND_TO_INT8)
        assert after == expected.replace(", quant[2], quant[3])", ")")
    tvm.ir.assert_structural_equal(dropped["main"], mod["main"])


@pytest.mark.parametrize(
    "calls",
    [
        [(SMALL, RELU)],
        [(SMALL, INT8), (SMALL, RELU)],
        [(SMALL, np.array([0, -128, -128, 90], np.int32))],
        [(LARGE, INT8)],
        [(SMALL, INT8), (LARGE, INT8)],
        [(None, INT8)],
    ],
    ids=["low", "low of one call", "high", "too large", "too large in one call", "not known"],
)
def test_what_has_to_be_limited_is(calls: list) -> None:
    mod = module(*calls)
    tvm.ir.assert_structural_equal(DropIdleLimits()(mod), mod)


def test_of_what_kinds_of_numbers_the_largest_is_known() -> None:
    assert operators(DropIdleLimits()(module((SMALL, INT8), result=of_several))) == {ROUND_TO_INT8}
    halves = np.full(CHANNELS, 0.6, np.float32)
    assert operators(DropIdleLimits()(module((halves, INT8), result=of_several))) == {QUANTIZE_INT8}
    assert operators(DropIdleLimits()(module((SMALL, INT8), result=of_a_float))) == {QUANTIZE_INT8}
    for most, operator in ((1e3, ROUND_TO_INT8), (1e5, QUANTIZE_INT8)):
        scale = np.full(CHANNELS, most, np.float32)
        assert operators(DropIdleLimits()(module((scale, INT8), result=of_bytes))) == {operator}


def test_the_same_numbers() -> None:
    """Up to the largest accumulators that there are."""
    mod = module(
        (np.array([0.999, 0.49, 1e-3, 1e-7, 0.0], np.float32), INT8), (SMALL, INT8 + [0, 5, 0, 0])
    )
    acc = np.random.default_rng(0).integers(-(2**31), 2**31, (7, CHANNELS)).astype(np.int32)
    acc[0], acc[1] = 2**31 - 1, -(2**31)
    results = []
    for each in (mod, DropIdleLimits()(mod)):
        machine = relax.VirtualMachine(relax.build(each, "llvm"), tvm.cpu())
        unused = tvm.runtime.tensor(SMALL)
        results.append([one.numpy() for one in machine["main"](tvm.runtime.tensor(acc), unused)])
    assert operators(DropIdleLimits()(mod)) == {ROUND_TO_INT8}
    np.testing.assert_array_equal(*results)
