"""1x1 convolution by smmla. No machine here has it: the compute and the description run on the
host, the code is looked at, and the arm64 tests run it under the emulator, bit for bit."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import tvm
from backends import cpu_backend
from kernel_draws import draw_int8
from numpy.typing import NDArray
from reference import ops
from tvm import relax, s_tir, tirx

from compile.kernels.common.conv_epilogue import ConvEpilogue, EpilogueKind
from compile.kernels.common.core_model import CpuCore
from compile.kernels.cpu.instructions.arm_sdot import sdot
from compile.kernels.cpu.instructions.arm_smmla import smmla_pair
from compile.kernels.cpu.instructions.dot_products import dot_product_named
from compile.kernels.cpu.int8 import matrix_pointwise
from compile.kernels.cpu.int8.matrix_pointwise import (
    create_matrix_pointwise,
    pack_matrix,
    serves_matrix,
)
from compile.passes.apply_default_schedule import apply_default_schedule
from compile.passes.lower_quantized_ops import LowerQuantizedOps

REQUANTIZE = ConvEpilogue(EpilogueKind.REQUANTIZE)
UNIT = CpuCore(128, 32, 1, 65536)
SIZES = [(1, 4, 8, 32), (7, 12, 13, 36), (3, 20, 64, 48)]
X2 = {
    "kind": "llvm",
    "mtriple": "aarch64-linux-gnu",
    "mcpu": "cortex-x2",
    "mattr": ["+neon", "+dotprod", "+i8mm"],
}


@cache
def compiled(function: tirx.PrimFunc, target: str = "llvm") -> tvm.runtime.Module:
    return tvm.compile(tvm.IRModule({"k": function.with_attr("global_symbol", "k")}), target)


@pytest.mark.parametrize(("pairs", "vectors"), [(2, 2), (3, 4)])
def test_description_multiplies_matrices(pairs: int, vectors: int) -> None:
    random = np.random.default_rng(pairs)
    data, weight = draw_int8(random, (pairs, 1, 16)), draw_int8(random, (vectors, 1, 16))
    start = random.integers(-(2**31), 2**31, (pairs, vectors, 4)).astype(np.int32)
    description, _ = smmla_pair(pairs, vectors)
    total = tvm.runtime.tensor(start)
    compiled(description)["k"](tvm.runtime.tensor(data), tvm.runtime.tensor(weight), total)
    rows, columns = (array.reshape(-1, 2, 8).astype(np.int64) for array in (data, weight))
    products = np.einsum("pig,vjg->pvij", rows, columns).reshape(start.shape)
    np.testing.assert_array_equal(total.numpy(), (start + products).astype(np.int32))


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_kernel_computes_the_convolution(size: tuple[int, int, int, int]) -> None:
    height, width, channels_in, channels_out = size
    random = np.random.default_rng(height)
    data = draw_int8(random, (1, height, width, channels_in))
    weight = draw_int8(random, (channels_out, channels_in, 1, 1))
    bias = random.integers(-1000, 1000, channels_out).astype(np.int32)
    accumulator = ops.conv2d(data, 0, weight, bias.astype(np.int64), (1, 1), (0, 0, 0, 0))
    multiplier = (60 / np.abs(accumulator).mean() * random.uniform(0.5, 1.5, channels_out)).astype(
        np.float32
    )
    kernel = create_matrix_pointwise(data.shape, channels_out, REQUANTIZE)
    quant = np.array([0, -5, -100, 110], np.int32)
    found = run(kernel, data, pack_matrix(weight), bias, multiplier, quant)
    expected = ops.requantize(accumulator, multiplier, -5, -100, 110)
    np.testing.assert_array_equal(found, expected)


def run(kernel: tirx.PrimFunc, *inputs: NDArray) -> NDArray:
    """As it is written, without a schedule."""
    shape = [int(extent) for extent in kernel.params[-1].ty.shape]
    out = tvm.runtime.tensor(np.full(shape, 85, np.int8))
    compiled(kernel)["k"](*(tvm.runtime.tensor(array) for array in inputs), out)
    return out.numpy()


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_every_choice_is_code_of_smmla(size: tuple[int, int, int, int]) -> None:
    height, width, channels_in, channels_out = size
    shape = (1, height, width, channels_in)

    def unscheduled() -> s_tir.Schedule:
        # Made anew: a schedule may change the body that its function shares.
        kernel = create_matrix_pointwise(shape, channels_out, REQUANTIZE)
        return s_tir.Schedule(kernel.with_attr("global_symbol", "main"))

    found = matrix_pointwise.configurations(unscheduled(), UNIT)
    default = matrix_pointwise.default_configuration(unscheduled(), UNIT)
    assert len(found) == len(set(found)) and found.count(default) == 1
    for configuration in (default, *found[:: max(1, len(found) // 4)]):
        schedule = unscheduled()
        matrix_pointwise.schedule(schedule, UNIT, configuration)
        built = tvm.tirx.build(schedule.mod, target=tvm.target.Target(X2))
        lines = built.inspect_source("asm").splitlines()
        smmla = sum("smmla" in line.split()[:1] for line in lines)
        # Loops over input channels may be unrolled, wholly or in part.
        assert (
            smmla >= configuration.pairs * configuration.vectors
            and smmla % configuration.vectors == 0
        )


def lowered_family(channels_out: int, width: int) -> str:
    """The kernel family of a 1x1 convolution of 8 channels for a target with smmla."""
    builder = relax.BlockBuilder()
    q = relax.Var("q", relax.TensorType((1, 3, width, 8), "int8"))
    weight = draw_int8(np.random.default_rng(0), (channels_out, 8, 1, 1))
    with builder.function("main", [q]):
        with builder.dataflow():
            x = builder.emit(relax.op.dequantize(q, relax.const(0.5), relax.const(3, "int8")))
            scales = relax.const(np.full(channels_out, 0.25, "float32"))
            zero = relax.const(0, "int8")
            w = builder.emit(relax.op.dequantize(relax.const(weight), scales, zero, axis=0))
            layouts = {"data_layout": "NHWC", "kernel_layout": "OIHW", "out_layout": "NHWC"}
            conv = builder.emit(relax.op.nn.conv2d(x, w, **layouts))
            out = relax.op.quantize(conv, relax.const(0.125), relax.const(-20, "int8"))
            out = builder.emit_output(out)
        builder.emit_func_output(out)
    after = LowerQuantizedOps(cpu_backend(dot_product_named("smmla", 128)))(builder.get())
    (call,) = (binding.value for binding in after["main"].body.blocks[0].bindings)
    apply_default_schedule(UNIT)(after)
    return str(after[call.args[0]].attrs["mqnet.family"])


def test_wide_convolutions_multiply_matrices() -> None:
    assert lowered_family(48, 12) == "matrix_pointwise"
    assert lowered_family(24, 12) == "packed_pointwise"
    assert lowered_family(48, 10) == "packed_pointwise"
    assert not serves_matrix(34, 12)
    assert not sdot().has_smmla
