"""LegalizeFloatOps: chains of float ops become one elementwise kernel, e^x becomes arithmetic."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import tvm
from scipy.special import expit
from tvm import relax, tirx
from tvm.ir import assert_structural_equal
from tvm.script import ir as I
from tvm.script import relax as R
from tvm.script import tirx as T

from compile.kernels.cpu.norm.instance_norm import create_normalize
from compile.passes.apply_default_schedule import apply_default_schedule
from compile.passes.legalize_float_ops import LegalizeFloatOps
from compile.support.errors import GraphError

SHAPE = (1, 2, 3, 4)


def test_chain_of_ops_is_one_kernel() -> None:
    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((1, 2, 3, 4), "float32")) -> R.Tensor((1, 2, 3, 4), "float32"):
            with R.dataflow():
                double = R.multiply(x, R.const(2.0, "float32"))
                out = R.add(double, x)
                R.output(out)
            return out

    @I.ir_module
    class After:
        @T.prim_func(private=True, s_tir=True)
        def fused_multiply_add(
            x: T.Buffer((T.int64(1), T.int64(2), T.int64(3), T.int64(4)), "float32"),
            out: T.Buffer((T.int64(1), T.int64(2), T.int64(3), T.int64(4)), "float32"),
        ):
            T.func_attr({"tirx.noalias": True})
            double = T.sblock_alloc_buffer((T.int64(1), T.int64(2), T.int64(3), T.int64(4)))
            for ax0, ax1, ax2, ax3 in T.grid(T.int64(1), T.int64(2), T.int64(3), T.int64(4)):
                with T.sblock("T_multiply"):
                    v0, v1, v2, v3 = T.axis.remap("SSSS", [ax0, ax1, ax2, ax3])
                    T.reads(x[v0, v1, v2, v3])
                    T.writes(double[v0, v1, v2, v3])
                    double[v0, v1, v2, v3] = x[v0, v1, v2, v3] * T.float32(2.0)
            for ax0, ax1, ax2, ax3 in T.grid(T.int64(1), T.int64(2), T.int64(3), T.int64(4)):
                with T.sblock("T_add"):
                    v0, v1, v2, v3 = T.axis.remap("SSSS", [ax0, ax1, ax2, ax3])
                    T.reads(double[v0, v1, v2, v3], x[v0, v1, v2, v3])
                    T.writes(out[v0, v1, v2, v3])
                    out[v0, v1, v2, v3] = double[v0, v1, v2, v3] + x[v0, v1, v2, v3]

        @R.function
        def main(x: R.Tensor((1, 2, 3, 4), "float32")) -> R.Tensor((1, 2, 3, 4), "float32"):
            cls = After
            with R.dataflow():
                out = R.call_tir(
                    cls.fused_multiply_add, (x,), out_ty=R.Tensor((1, 2, 3, 4), "float32")
                )
                R.output(out)
            return out

    assert_structural_equal(LegalizeFloatOps()(Before), After)


def test_our_own_kernels_are_not_fused() -> None:
    """A kernel with a family keeps its TIR, since a record is found by it; what follows it is
    fused without it."""
    kernel = create_normalize(SHAPE, None, "float32")
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType(SHAPE, "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            scale_shift = relax.const(np.ones((2, 4), "float32"))
            normalize = builder.add_func(kernel, "normalize")
            norm = builder.emit(relax.op.call_tir(normalize, [x, scale_shift], x.ty))
            result = builder.emit(relax.op.tanh(builder.emit(relax.op.nn.relu(norm))))
            result = builder.emit_output(result)
        builder.emit_func_output(result)
    before = builder.get()
    untouched = tvm.IRModule(dict(before.functions_items()))

    after = LegalizeFloatOps()(before)
    assert kernel_names(after) == ["fused_relu_tanh", "normalize"]
    assert_structural_equal(after["normalize"].without_attr("op_pattern"), kernel)
    assert_structural_equal(before, untouched)


@I.ir_module
class Sigmoid:
    @R.function
    def main(x: R.Tensor((1, 64, 64, 4), "float32")) -> R.Tensor((1, 64, 64, 4), "float32"):
        with R.dataflow():
            out = R.sigmoid(x)
            R.output(out)
        return out


@I.ir_module
class Tanh:
    @R.function
    def main(x: R.Tensor((1, 64, 64, 4), "float32")) -> R.Tensor((1, 64, 64, 4), "float32"):
        with R.dataflow():
            out = R.tanh(x)
            R.output(out)
        return out


@I.ir_module
class Selu:
    @R.function
    def main(x: R.Tensor((1, 64, 64, 4), "float32")) -> R.Tensor((1, 64, 64, 4), "float32"):
        with R.dataflow():
            out = R.nn.selu(x)
            R.output(out)
        return out


@I.ir_module
class Exp:
    @R.function
    def main(x: R.Tensor((1, 64, 64, 4), "float32")) -> R.Tensor((1, 64, 64, 4), "float32"):
        with R.dataflow():
            out = R.exp(x)
            R.output(out)
        return out


CASES = [
    (Sigmoid, lambda x: 1 / (1 + np.exp(-x)), 2e-7, 0),
    (Tanh, np.tanh, 4e-7, 0),
    (
        Selu,
        lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x)),
        4e-7,
        2e-7,
    ),
    # Finite beyond e^87.
    (Exp, lambda x: np.exp(np.clip(x, -87, 87)), 1e-30, 3e-7),
]


@pytest.mark.parametrize(
    ("before", "reference", "error", "relative"), CASES, ids=["sigmoid", "tanh", "selu", "exp"]
)
def test_exponentials_are_arithmetic(
    before, reference, error: float, relative: float, core
) -> None:
    """No call of the C library, and the promised error, also where e^x would overflow."""
    after = LegalizeFloatOps()(before)
    (name,) = kernel_names(after)
    called = set(re.findall(r"T\.(exp\w*|pow\w*|tanh|sigmoid|call\w*)\(", after[name].script()))
    assert not called

    scheduled = apply_default_schedule(core)(after)
    machine = relax.VirtualMachine(relax.build(scheduled, "llvm"), tvm.cpu())
    x = np.linspace(-12, 12, 64 * 64 * 4, dtype="float32")
    x[:8] = -np.inf, -1e30, -200, -0.0, 0.0, 200, 1e30, np.inf
    x = x.reshape(1, 64, 64, 4)
    result = machine["main"](tvm.runtime.tensor(x)).numpy()
    with np.errstate(over="ignore"):
        np.testing.assert_allclose(
            result, reference(x.astype("float64")), atol=error, rtol=relative
        )


def gelu(x):
    return x / 2 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def gelu_tanh(x):
    return x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


@pytest.mark.parametrize(("op", "reference"), [("gelu", gelu), ("gelu_tanh", gelu_tanh)])
def test_gelu_is_arithmetic(op: str, reference, core) -> None:
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((1, 64, 64, 4), "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            result = builder.emit_output(getattr(relax.op.nn, op)(x))
        builder.emit_func_output(result)
    after = LegalizeFloatOps()(builder.get())
    (name,) = kernel_names(after)
    assert not re.findall(r"T\.(exp\w*|erf|tanh|call\w*|if_then_else)\(", after[name].script())
    machine = relax.VirtualMachine(
        relax.build(apply_default_schedule(core)(after), "llvm"), tvm.cpu()
    )
    data = np.linspace(-12, 12, 64 * 64 * 4, dtype="float32")
    data[:4] = -1e30, -200, 200, 1e30
    data = data.reshape(1, 64, 64, 4)
    result = machine["main"](tvm.runtime.tensor(data)).numpy()
    with np.errstate(over="ignore"):
        expected = reference(data.astype("float64"))
    np.testing.assert_allclose(result, expected, atol=2e-6, rtol=1e-6)


@pytest.mark.parametrize(("op", "reference"), [("sigmoid", expit), ("tanh", np.tanh)])
def test_exponentials_of_half_floats_are_rounded_once(op: str, reference, core) -> None:
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((1, 64, 64, 4), "float16"))
    with builder.function("main", [x]):
        with builder.dataflow():
            result = builder.emit_output(getattr(relax.op, op)(x))
        builder.emit_func_output(result)
    scheduled = apply_default_schedule(core)(LegalizeFloatOps()(builder.get()))
    machine = relax.VirtualMachine(relax.build(scheduled, "llvm"), tvm.cpu())
    data = np.linspace(-12, 12, 64 * 64 * 4).astype("float16").reshape(1, 64, 64, 4)
    result = machine["main"](tvm.runtime.tensor(data)).numpy()
    assert result.dtype == np.float16
    expected = reference(data.astype("float64")).astype("float16")
    # Where float32's own error crosses a rounding point, the neighbour.
    different = result != expected
    assert different.mean() < 2e-3
    np.testing.assert_array_max_ulp(result, expected, maxulp=1)


def kernel_names(mod: tvm.IRModule) -> list[str]:
    functions = mod.functions_items()
    return sorted(v.name_hint for v, f in functions if isinstance(f, tirx.PrimFunc))


def test_look_up_stays_inside() -> None:
    @I.ir_module
    class Before:
        @R.function
        def main(table: R.Tensor((4,), "float32"), index: R.Tensor((2, 3), "int32")) -> R.Tensor(
            (2, 3), "float32"
        ):
            with R.dataflow():
                out = R.take(table, index, axis=0, mode="fast")
                R.output(out)
            return out

    library = tvm.compile(LegalizeFloatOps()(Before), target="llvm")
    machine = relax.VirtualMachine(library, tvm.cpu())
    table, index = np.float32([1, 2, 4, 8]), np.int32([[0, 3, 1], [4, -1, 2]])
    found = machine["main"](tvm.runtime.tensor(table), tvm.runtime.tensor(index)).numpy()
    np.testing.assert_array_equal(found, [[1, 8, 2], [8, 1, 4]])


def test_what_goes_through_an_axis_is_refused() -> None:
    """TVM would leave it as it is, for its code generator to fail on."""

    @I.ir_module
    class Sorted:
        @R.function
        def main(x: R.Tensor((2, 8), "float32")) -> R.Tensor((2, 8), "float32"):
            with R.dataflow():
                y = R.sort(x, axis=1)
                R.output(y)
            return y

    with pytest.raises(GraphError, match="^operator sort goes through an axis number by number"):
        LegalizeFloatOps()(Sorted)
