"""FuseRowKernels: a float convolution takes its neighbours into its loop over rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tvm
from dot_instructions import dots
from head_kernels import BIAS, Head, int8_network
from tvm import relax, tirx, topi

from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.kernel_function import FAMILY_ATTR, MACS_ATTR
from compile.kernels.common.window import Window
from compile.kernels.cpu.instructions.dot_product import DotProduct
from compile.kernels.cpu.plain.spatial_conv import create_spatial_conv
from compile.kernels.families import families_of
from compile.passes.apply_default_schedule import apply_default_schedule
from compile.passes.fuse_row_kernels import FuseRowKernels
from compile.passes.legalize_float_ops import LegalizeFloatOps
from targets.describe_target import tvm_target
from targets.load_target import load_target

HEIGHT, WIDTH = 5, 12


def picture(name: str, channels: int) -> relax.Var:
    return relax.Var(name, relax.TensorType((1, HEIGHT, WIDTH, channels), "float32"))


def network() -> tvm.IRModule:
    """As MQNet's head behind its first convolution: 1x1, norm, 1x1, norm, 1x1, elementwise."""
    head = Head()
    x, image = picture("x", 4), picture("image", 3)
    with head.builder.function("main", [x, image]):
        with head.builder.dataflow():
            first = head.pointwise(x, 6)
            second = head.pointwise(head.norm(first), 5)
            third = head.pointwise(head.norm(second), 3)
            total = head.builder.emit(relax.op.add(relax.op.tanh(third), image))
            out = head.builder.emit_output(relax.op.sigmoid(total))
        head.builder.emit_func_output(out)
    return LegalizeFloatOps()(head.builder.get())


def planar_network() -> tvm.IRModule:
    """The same in rows of planes; the last convolution's result is channels-last again."""
    head = Head()
    x = relax.Var("x", relax.TensorType((1, HEIGHT, 4, WIDTH), "float32"))
    image = picture("image", 3)
    with head.builder.function("main", [x, image]):
        with head.builder.dataflow():
            first = head.planar_pointwise(x, 6, interleaved=False)
            second = head.planar_pointwise(head.planar_norm(first), 5, interleaved=False)
            third = head.planar_pointwise(head.planar_norm(second), 3, interleaved=True)
            total = head.builder.emit(relax.op.add(relax.op.tanh(third), image))
            out = head.builder.emit_output(relax.op.sigmoid(total))
        head.builder.emit_func_output(out)
    return LegalizeFloatOps()(head.builder.get())


def kernels(mod: tvm.IRModule) -> list[str]:
    """The names of the kernels that main calls, in order."""
    return [
        binding.value.args[0].name_hint
        for block in mod["main"].body.blocks
        for binding in block.bindings
        if isinstance(binding.value, relax.Call)
    ]


def blocks(kernel: tirx.PrimFunc) -> list[str]:
    schedule = tvm.s_tir.Schedule(kernel)
    children = schedule.get_child_blocks(schedule.get_sblock("root"))
    return [str(schedule.get(block).name_hint) for block in children]


def test_norms_and_elementwise_go_into_their_convolutions() -> None:
    before = network()
    assert len(kernels(before)) == 10
    after = FuseRowKernels(families_of("cpu"))(before)
    assert kernels(after) == [
        "conv2d_float_rows",
        "instance_norm_statistics",
        "conv2d_float1_rows",
        "instance_norm_statistics1",
        "conv2d_float2_rows",
    ]
    rows = ["partial_sum", "row_sum", "row_mean", "partial_square", "row_square", "rows"]
    assert blocks(after["conv2d_float_rows"]) == ["conv", "epilogue", *rows]
    assert blocks(after["conv2d_float1_rows"]) == ["normalize", "conv", "epilogue", *rows]
    assert blocks(after["conv2d_float2_rows"])[:3] == ["normalize", "conv", "epilogue"]
    for index, name in enumerate(name for name in kernels(after) if name.endswith("_rows")):
        alone = before["conv2d_float" + (str(index) if index else "")]
        for attr in ("mqnet.family", "mqnet.macs"):
            assert after[name].attrs[attr] == alone.attrs[attr]


def test_neighbours_of_planar_convolutions_go_into_them() -> None:
    after = FuseRowKernels(families_of("cpu"))(planar_network())
    assert kernels(after) == kernels(FuseRowKernels(families_of("cpu"))(network()))
    rows = ["segment_sum", "segment_square", "segments"]
    assert blocks(after["conv2d_float_rows"]) == ["wide", "conv", "epilogue", *rows]
    assert blocks(after["conv2d_float1_rows"])[0] == "normalize"
    assert blocks(after["conv2d_float2_rows"])[3:5] == ["epilogue", "interleave"]


@pytest.mark.parametrize("core", [CpuCore(256, 16, 2), CpuCore(128, 32, 1)], ids=str)
@pytest.mark.parametrize("network", [network, planar_network])
def test_fused_kernels_compute_the_same(network: Callable[[], tvm.IRModule], core: CpuCore) -> None:
    random = np.random.default_rng(1)
    shapes = [tuple(int(n) for n in var.ty.shape) for var in network()["main"].params]
    inputs = [random.uniform(-2, 2, shape).astype("float32") for shape in shapes]
    results = []
    for mod in (network(), FuseRowKernels(families_of("cpu"))(network())):
        scheduled = apply_default_schedule(core)(mod)
        machine = relax.VirtualMachine(relax.build(scheduled, "llvm"), tvm.cpu())
        results.append(machine["main"](*map(tvm.runtime.tensor, inputs)).numpy())
    np.testing.assert_allclose(*results, rtol=0, atol=1e-6)
    assert np.ptp(results[0]) > 0.3


@dots
def test_planes_are_computed_twice_instead_of_kept(dot: DotProduct, core: CpuCore) -> None:
    """Bit for bit the same, and no kernel has the planes as a result."""
    random = np.random.default_rng(1)
    inputs = [
        random.integers(-128, 128, (1, 5, 32, 16), dtype=np.int8),
        random.uniform(0, 1, (1, 5, 32, 3)).astype("float32"),
    ]
    target = tvm_target(load_target("host"), core.threads)
    results = []
    planes = 5 * 12 * 32 * 4
    for recompute_bytes in (None, planes, planes - 1):
        mod = FuseRowKernels(families_of("cpu"), recompute_bytes)(int8_network(dot))
        assert len(kernels(mod)) == 5
        first, _, second, *_ = (mod[name] for name in kernels(mod))
        twice = recompute_bytes is not None and recompute_bytes < planes
        assert (second.attrs[FAMILY_ATTR] == "planar_conv_pointwise") == twice
        assert int(second.attrs[MACS_ATTR]) == 5 * 32 * (12 * 6 + (9 * 16 * 12 if twice else 0))
        shapes = [tuple(int(extent) for extent in param.ty.shape) for param in first.params]
        assert ((1, 5, 12, 32) in shapes) != twice
        scheduled = apply_default_schedule(core)(mod)
        machine = relax.VirtualMachine(relax.build(scheduled, target), tvm.cpu())
        results.append(machine["main"](*map(tvm.runtime.tensor, inputs)).numpy())
    np.testing.assert_array_equal(results[2], results[0])
    np.testing.assert_array_equal(results[1], results[0])
    assert np.ptp(results[0]) > 0.3


def test_what_is_read_twice_stays() -> None:
    """The normalized picture and the convolution's result have a second reader."""
    head = Head()
    x = picture("x", 4)
    with head.builder.function("main", [x]):
        with head.builder.dataflow():
            normalized = head.norm(x)
            conv = head.pointwise(normalized, 4)
            out = head.builder.emit(relax.op.tanh(conv))
            results = [head.builder.emit_output(var) for var in (out, conv, normalized)]
        head.builder.emit_func_output(relax.Tuple(results))
    before = LegalizeFloatOps()(head.builder.get())
    assert kernels(before)[-3:] == ["normalize", "conv2d_float", "tanh"]
    assert kernels(FuseRowKernels(families_of("cpu"))(before)) == kernels(before)


def test_what_sums_up_a_convolution_stays_a_kernel() -> None:
    """x - mean of its rows: elementwise but for the sum, which has to be whole before."""
    head = Head()
    x = picture("x", 4)
    with head.builder.function("main", [x]):
        with head.builder.dataflow():
            conv = head.pointwise(x, 6)
            mean = head.builder.emit(relax.op.mean(conv, axis=[1], keepdims=True))
            out = head.builder.emit_output(relax.op.subtract(conv, mean))
        head.builder.emit_func_output(out)
    before = LegalizeFloatOps()(head.builder.get())
    after = FuseRowKernels(families_of("cpu"))(before)
    assert "conv2d_float_rows" not in {name.name_hint for name in after.get_global_vars()}
    scheduled = apply_default_schedule(CpuCore(256, 16, 1))(after)
    data = np.random.default_rng(1).uniform(-1, 1, (1, HEIGHT, WIDTH, 4)).astype("float32")
    found, expected = (
        relax.VirtualMachine(relax.build(mod, "llvm"), tvm.cpu())["main"](
            tvm.runtime.tensor(data)
        ).numpy()
        for mod in (scheduled, before)
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_dense_convolution_takes_statistics_but_nothing_elementwise() -> None:
    head = Head()
    x = picture("x", 4)
    window = Window((3, 3), (1, 1), (1, 1, 1, 1))
    kernel = create_spatial_conv((1, HEIGHT, WIDTH, 4), 4, window, "float32", "float32", BIAS)

    def convolved(data: relax.Expr) -> relax.Var:
        return head.call(kernel, "conv2d", data, head.constant(3, 3, 4, 4), head.constant(4))

    with head.builder.function("main", [x]):
        with head.builder.dataflow():
            normalized = head.norm(convolved(x))
            out = head.builder.emit_output(relax.op.tanh(convolved(normalized)))
        head.builder.emit_func_output(out)
    after = FuseRowKernels(families_of("cpu"))(LegalizeFloatOps()(head.builder.get()))
    assert kernels(after) == [
        "conv2d_rows",
        "instance_norm_statistics",
        "normalize",
        "conv2d",
        "tanh",
    ]


def test_numbers_of_64_bits_are_no_indices() -> None:
    """Those of a user's network, and of the places of largest values."""
    builder, x = relax.BlockBuilder(), relax.Var("x", relax.TensorType((4, 8), "int64"))
    with builder.function("main", [x]):
        with builder.dataflow():
            total = builder.emit_output(builder.emit_te(topi.add, x, x))
        builder.emit_func_output(total)
    mod = FuseRowKernels(families_of("cpu"))(builder.get())
    assert str(mod["add"].params[0].ty.dtype) == "int64"
