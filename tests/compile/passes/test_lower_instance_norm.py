"""LowerInstanceNorm: statistics by rows, then of all, and a multiply-add with the ReLU behind."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from backends import cpu_backend
from tvm import relax
from tvm.ir import assert_structural_equal
from tvm.script import ir as I
from tvm.script import relax as R
from tvm.script import tirx as T

from compile.kernels.common.core_model import CpuCore
from compile.kernels.cpu.norm import planar_norm
from compile.kernels.cpu.norm.instance_norm import create_normalize, create_statistics
from compile.kernels.cpu.norm.row_statistics import create_row_statistics
from compile.passes.apply_default_schedule import apply_default_schedule
from compile.passes.lower_instance_norm import LowerInstanceNorm

SHAPE = (1, 5, 7, 3)
EPSILON = 1e-3
GAMMA = np.array([1.0, -2.0, 3.0], "float32")
BETA = np.array([0.5, 0.0, -0.5], "float32")


@I.ir_module
class Plain:
    @R.function
    def main(x: R.Tensor((1, 5, 7, 3), "float32")) -> R.Tensor((1, 5, 7, 3), "float32"):
        with R.dataflow():
            out = R.nn.instance_norm(
                x, R.const(GAMMA), R.const(BETA), channel_axis=3, axes=[1, 2], epsilon=EPSILON
            )
            R.output(out)
        return out


@I.ir_module
class WithRelu:
    @R.function
    def main(x: R.Tensor((1, 5, 7, 3), "float32")) -> R.Tensor((1, 5, 7, 3), "float32"):
        with R.dataflow():
            norm = R.nn.instance_norm(
                x, R.const(GAMMA), R.const(BETA), channel_axis=3, axes=[1, 2], epsilon=EPSILON
            )
            out = R.nn.relu(norm)
            R.output(out)
        return out


@pytest.mark.parametrize(("before", "low"), [(Plain, None), (WithRelu, 0.0)], ids=["plain", "relu"])
def test_norm_becomes_statistics_and_multiply_add(before: tvm.IRModule, low: float | None) -> None:
    assert_structural_equal(LowerInstanceNorm(cpu_backend())(before), expected(low))


def test_kernel_of_the_multiply_add_with_relu() -> None:
    @T.prim_func(private=True, s_tir=True)
    def normalize(
        data: T.Buffer((1, 5, 7, 3), "float32"),
        scale_shift: T.Buffer((2, 7, 3), "float32"),
        out: T.Buffer((1, 5, 7, 3), "float32"),
    ):
        T.func_attr({"tirx.noalias": True, "mqnet.family": "normalize", "mqnet.macs": 0})
        for b, y, x, c in T.grid(1, 5, 7, 3):
            with T.sblock("normalize"):
                vb, vy, vx, vc = T.axis.remap("SSSS", [b, y, x, c])
                T.reads(data[vb, vy, vx, vc], scale_shift[0:2, vx % 7, vc])
                T.writes(out[vb, vy, vx, vc])
                out[vb, vy, vx, vc] = T.max(
                    data[vb, vy, vx, vc] * scale_shift[0, vx % 7, vc] + scale_shift[1, vx % 7, vc],
                    T.float32(0.0),
                )

    after = LowerInstanceNorm(cpu_backend())(WithRelu)
    *_, call = after["main"].body.blocks[0].bindings
    assert_structural_equal(after[call.value.args[0]], normalize)


def test_norm_that_is_also_read_without_its_relu() -> None:
    """Both readers are served: with and without the lower limit."""

    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((1, 5, 7, 3), "float32")) -> R.Tensor((1, 5, 7, 3), "float32"):
            with R.dataflow():
                norm = R.nn.instance_norm(
                    x, R.const(GAMMA), R.const(BETA), channel_axis=3, axes=[1, 2], epsilon=EPSILON
                )
                active = R.nn.relu(norm)
                out = R.add(norm, active)
                R.output(out)
            return out

    after = LowerInstanceNorm(cpu_backend())(Before)
    *_, total = after["main"].body.blocks[0].bindings
    assert total.value.op.name == "relax.add"
    calls = {b.var: b.value for b in after["main"].body.blocks[0].bindings}
    plain, active = (after[calls[operand].args[0]] for operand in total.value.args)
    assert_structural_equal(plain, create_normalize(SHAPE, None, "float32"))
    assert_structural_equal(active, create_normalize(SHAPE, 0.0, "float32"))


def test_half_floats_go_through_float32() -> None:
    """The statistics of 35 large numbers would overflow float16; gamma and beta are widened."""
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType(SHAPE, "float16"))
    gamma, beta = (relax.const(value.astype("float16")) for value in (GAMMA, BETA))
    with builder.function("main", [x]):
        with builder.dataflow():
            norm = relax.op.nn.instance_norm(
                x, gamma, beta, channel_axis=3, axes=[1, 2], epsilon=EPSILON
            )
            result = builder.emit_output(builder.emit(norm))
        builder.emit_func_output(result)
    after = LowerInstanceNorm(cpu_backend())(builder.get())
    rows, statistics, normalize = (
        binding.value for binding in after["main"].body.blocks[0].bindings[:3]
    )
    assert_structural_equal(after[rows.args[0]], create_row_statistics(SHAPE, "float16"))
    assert_structural_equal(after[statistics.args[0]], create_statistics(5, 7, 3, EPSILON))
    assert_structural_equal(after[normalize.args[0]], create_normalize(SHAPE, None, "float16"))
    assert [arg.ty.dtype for arg in statistics.args[1].fields] == ["float32"] * 3
    assert after["main"].ret_ty.dtype == "float16"
    core = CpuCore(256, 16, 1)
    scheduled = apply_default_schedule(core)(after)
    machine = relax.VirtualMachine(relax.build(scheduled, "llvm"), tvm.cpu())
    data = np.random.default_rng(0).normal(9000, 3000, SHAPE).astype("float16")
    got = machine["main"](tvm.runtime.tensor(data)).numpy()
    wide = data.astype("float64")
    mean, variance = (f(wide, axis=(1, 2), keepdims=True) for f in (np.mean, np.var))
    reference = (wide - mean) / np.sqrt(variance + EPSILON) * GAMMA.astype("float16")
    np.testing.assert_allclose(got, reference + BETA.astype("float16"), atol=4e-3, rtol=2e-3)


def normalized(data: np.ndarray, channel_axis: int) -> np.ndarray:
    """float32 ``data``, normalized by the kernels of a processor."""
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType(data.shape, "float32"))
    channels = data.shape[channel_axis]
    gamma, beta = (relax.const(np.full(channels, value, "float32")) for value in (1, 0))
    axes = [axis for axis in (1, 2, 3) if axis != channel_axis]
    with builder.function("main", [x]):
        with builder.dataflow():
            norm = relax.op.nn.instance_norm(x, gamma, beta, channel_axis, axes, epsilon=1e-5)
            result = builder.emit_output(builder.emit(norm))
        builder.emit_func_output(result)
    lowered = LowerInstanceNorm(cpu_backend())(builder.get())
    scheduled = apply_default_schedule(CpuCore(256, 16, 1))(lowered)
    machine = relax.VirtualMachine(relax.build(scheduled, "llvm"), tvm.cpu())
    return machine["main"](tvm.runtime.tensor(data)).numpy()


@pytest.mark.parametrize("channel_axis", [3, 2], ids=["channels last", "planes"])
@pytest.mark.parametrize(("size", "maps"), [((9, 40), slice(4)), ((1536, 2560), slice(1, 2))])
def test_feature_maps_that_hardly_vary(
    size: tuple[int, int], maps: slice, channel_axis: int
) -> None:
    """Black; of one value; a pixel apart; a checkerboard. The first two are 0 of any deviation,
    whose square would be what is left of 13.3^2 - 13.3^2 otherwise.

    Of one value v the mean is off by v * (H + W / 16 + 16) * 2^-24 at the most, and 1 / sqrt(1e-5)
    makes 316 times that of it.
    """
    data = np.zeros((1, *size, 4), "float32")
    data[..., 1] = 13.3
    data[..., 2], data[0, 5, 7, 2] = 20, 21
    data[:, ::2, ::2, 3] = data[:, 1::2, 1::2, 3] = 60
    data = data[..., maps]
    moved = np.ascontiguousarray(np.moveaxis(data, 3, channel_axis))
    found = np.moveaxis(normalized(moved, channel_axis), channel_axis, 3)
    wide = data.astype("float64")
    deviation = np.sqrt(wide.var((0, 1, 2)) + 1e-5)
    error = np.abs(found - (wide - wide.mean((0, 1, 2))) / deviation).max((0, 1, 2))
    steps = (size[0] + size[1] / 16 + 16) * 2**-24
    assert (error <= wide.max((0, 1, 2)) / deviation * steps + 1e-6).all(), error


def test_other_relus_stay() -> None:
    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((1, 5, 7, 3), "float32")) -> R.Tensor((1, 5, 7, 3), "float32"):
            with R.dataflow():
                out = R.nn.relu(R.tanh(x))
                R.output(out)
            return out

    assert_structural_equal(LowerInstanceNorm(cpu_backend())(Before), Before)


def expected(low: float | None) -> tvm.IRModule:
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType(SHAPE, "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            rows = builder.add_func(create_row_statistics(SHAPE, "float32"), "row_statistics")
            rows_ty = relax.TensorType((5, 2, 3), "float32")
            row_values = builder.emit(relax.op.call_tir(rows, [x], rows_ty))
            statistics = create_statistics(5, 7, 3, EPSILON)
            statistics = builder.add_func(statistics, "instance_norm_statistics")
            args = [row_values, relax.const(GAMMA), relax.const(BETA)]
            # For all seven columns side by side.
            ty = relax.TensorType((2, 7, 3), "float32")
            scale_shift = builder.emit(relax.op.call_tir(statistics, args, ty))
            # The norm's own kernel is made first and goes when only its ReLU is read.
            name = "normalize" if low is None else "normalize1"
            normalize = builder.add_func(create_normalize(SHAPE, low, "float32"), name)
            result = builder.emit_output(relax.op.call_tir(normalize, [x, scale_shift], x.ty))
        builder.emit_func_output(result)
    return builder.get()


def test_norm_of_planes() -> None:
    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((1, 5, 3, 8), "float32")) -> R.Tensor((1, 5, 3, 8), "float32"):
            with R.dataflow():
                norm = R.nn.instance_norm(
                    x, R.const(GAMMA), R.const(BETA), channel_axis=2, axes=[1, 3], epsilon=EPSILON
                )
                out = R.nn.relu(norm)
                R.output(out)
            return out

    after = LowerInstanceNorm(cpu_backend())(Before)
    rows, statistics, normalize = (b.value for b in after["main"].body.blocks[0].bindings)
    assert_structural_equal(after[rows.args[0]], planar_norm.create_row_statistics((1, 5, 3, 8)))
    assert_structural_equal(
        after[statistics.args[0]], planar_norm.create_statistics(5, 3, 8, EPSILON)
    )
    assert_structural_equal(
        after[normalize.args[0]], planar_norm.create_normalize((1, 5, 3, 8), 0.0)
    )


@pytest.mark.parametrize("with_relu", [False, True], ids=["plain", "relu"])
def test_multiply_add_by_arguments_is_a_norm_without_statistics(with_relu: bool) -> None:
    """As of a tile of a picture whose moments are known (compile/passes/split_stages.py)."""

    @I.ir_module
    class Before:
        @R.function
        def main(
            x: R.Tensor((1, 5, 7, 3), "float32"),
            scale: R.Tensor((1, 1, 1, 3), "float32"),
            shift: R.Tensor((1, 1, 1, 3), "float32"),
        ) -> R.Tensor((1, 5, 7, 3), "float32"):
            with R.dataflow():
                out = R.add(R.multiply(x, scale), shift)
                R.output(out)
            return out

    before = Before
    if with_relu:
        builder = relax.BlockBuilder()
        x, scale, shift = (relax.Var(one.name, one.ty) for one in before["main"].params)
        with builder.function("main", [x, scale, shift]):
            with builder.dataflow():
                total = builder.emit(relax.op.add(builder.emit(relax.op.multiply(x, scale)), shift))
                output = builder.emit_output(relax.op.nn.relu(total))
            builder.emit_func_output(output)
        before = builder.get()
    low = 0.0 if with_relu else None
    builder = relax.BlockBuilder()
    x, scale, shift = (relax.Var(one.name, one.ty) for one in before["main"].params)
    with builder.function("main", [x, scale, shift]):
        with builder.dataflow():
            rows = [builder.emit(relax.op.reshape(one, (1, 1, 3))) for one in (scale, shift)]
            pair = builder.emit(
                relax.op.broadcast_to(builder.emit(relax.op.concat(rows)), (2, 7, 3))
            )
            # As above: the kernel of the multiply-add alone is made first.
            name = "normalize1" if with_relu else "normalize"
            kernel = builder.add_func(create_normalize(SHAPE, low, "float32"), name)
            kind = relax.TensorType(SHAPE, "float32")
            output = builder.emit_output(relax.op.call_tir(kernel, [x, pair], kind))
        builder.emit_func_output(output)
    assert_structural_equal(LowerInstanceNorm(cpu_backend())(before), builder.get())
