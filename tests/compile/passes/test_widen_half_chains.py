"""WidenHalfChains: what is inside of a kernel of float16 does not end at 65504."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tvm
from tvm import relax, tirx
from tvm.ir import assert_structural_equal

from compile.passes.apply_default_schedule import apply_default_schedule
from compile.passes.legalize_float_ops import LegalizeFloatOps
from compile.passes.widen_half_chains import WidenHalfChains

SHAPE = (1, 4, 8, 16)
op = relax.op

Emit = Callable[[relax.Expr], relax.Var]


def number(value: float) -> relax.Constant:
    return relax.const(value, "float16")


def product(x: relax.Var, emit: Emit) -> relax.Expr:
    return op.multiply(emit(op.multiply(x, x)), number(1 / 1024))


def rms_norm(x: relax.Var, emit: Emit) -> relax.Expr:
    square = emit(op.mean(emit(op.square(x)), [3], True))
    return op.divide(x, emit(op.sqrt(emit(op.add(square, number(1.0))))))


def magnitude(x: relax.Var, emit: Emit) -> relax.Expr:
    return op.sqrt(emit(op.astype(emit(op.multiply(x, x)), "float32")))


def clipped(x: relax.Var, emit: Emit) -> relax.Expr:
    return op.clip(emit(op.multiply(x, number(100.0))), 0, 60000)


CHAINS = {
    "product": (product, lambda x: x * x / 1024),
    "rms norm": (rms_norm, lambda x: x / np.sqrt(np.mean(x * x, 3, keepdims=True) + 1)),
    "magnitude": (magnitude, np.abs),
    "clipped": (clipped, lambda x: np.clip(x * 100, 0, 60000)),
}


def module(body: Callable[[relax.Var, Emit], relax.Expr], dtype: str) -> tvm.IRModule:
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType(SHAPE, dtype))
    with builder.function("main", [x]):
        with builder.dataflow():
            result = builder.emit_output(body(x, builder.emit))
        builder.emit_func_output(result)
    return builder.get()


@pytest.mark.parametrize("name", CHAINS)
def test_values_in_between_do_not_overflow(name: str, core):
    body, reference = CHAINS[name]
    passes = [WidenHalfChains(), LegalizeFloatOps(), apply_default_schedule(core)]
    lowered = tvm.transform.Sequential(passes)(module(body, "float16"))
    machine = relax.VirtualMachine(tvm.compile(lowered, target="llvm"), tvm.cpu())
    x = np.random.default_rng(0).uniform(500, 1000, SHAPE).astype("float16")
    found = machine["main"](tvm.runtime.tensor(x)).numpy()
    # Rounded once, at the end.
    np.testing.assert_allclose(found, reference(x.astype("float64")), rtol=2**-10)


def test_what_several_read_stays_as_it_is():
    def shared(x: relax.Var, emit: Emit) -> relax.Expr:
        square = emit(op.multiply(x, x))
        return op.add(emit(op.permute_dims(square, [0, 1, 2, 3])), square)

    def single(x: relax.Var, emit: Emit) -> relax.Expr:
        return op.sqrt(emit(op.multiply(x, x)))

    for body, dtype in ((shared, "float16"), (single, "float32")):
        before = relax.transform.CanonicalizeBindings()(module(body, dtype))
        assert_structural_equal(WidenHalfChains()(before), before)


def test_a_chain_is_one_kernel():
    lowered = LegalizeFloatOps()(WidenHalfChains()(module(product, "float16")))
    kernels = [one for _, one in lowered.functions_items() if isinstance(one, tirx.PrimFunc)]
    assert len(kernels) == 1
