"""LowerQuantizedOps: a 1x1 convolution over concat(upsample(a), b) makes neither of them, and a 3x3
convolution that transforms its data reads what was moved where it is."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import tvm
from backends import cpu_backend
from dot_instructions import dots
from numpy.typing import NDArray
from reference import ops
from tvm import relax
from tvm.ir import assert_structural_equal

from compile.kernels.common.conv_epilogue import ConvEpilogue, EpilogueKind
from compile.kernels.common.core_model import CpuCore
from compile.kernels.common.joined_parts import JoinedPart
from compile.kernels.common.window import Window
from compile.kernels.cpu.instructions.arm_sdot import sdot
from compile.kernels.cpu.instructions.dot_product import DotProduct
from compile.kernels.cpu.instructions.dot_products import pair_product_of
from compile.kernels.cpu.instructions.x86_pmaddwd import pmaddwd
from compile.kernels.cpu.int8.int8_concat_pointwise import create_int8_concat_pointwise
from compile.kernels.cpu.int8.packed_weight import pack_for_dot_product
from compile.kernels.cpu.int8.winograd_conv import create_winograd_conv
from compile.passes.apply_default_schedule import apply_default_schedule
from compile.passes.lower_quantized_ops import LowerQuantizedOps
from targets.describe_target import tvm_target
from targets.load_target import load_target

ZERO_POINT, OUTPUT_ZERO_POINT = 3, -20
SCALE, WEIGHT_SCALE, OUTPUT_SCALE = 0.5, 0.25, 4.0
REQUANTIZE = ConvEpilogue(EpilogueKind.REQUANTIZE)
CORE = CpuCore(128, 16, 1)


@dataclass(frozen=True)
class Network:
    """Sizes of conv(concat(upsample(low), high)), and what may keep it from being one kernel."""

    low: tuple[int, int, int] = (3, 5, 6)
    high_channels: int = 9
    factor: int = 2
    channels_out: int = 16
    low_is_first: bool = True
    kernel: int = 1
    both_upsampled: bool = False
    low_is_shuffled: bool = False

    def weight(self) -> NDArray[np.int8]:
        random = np.random.default_rng(0)
        low_channels = self.low[2] // (self.factor**2 if self.low_is_shuffled else 1)
        inputs = low_channels + self.high_channels
        shape = (self.channels_out, inputs, self.kernel, self.kernel)
        return random.integers(-127, 128, shape, dtype=np.int8)

    def module(self) -> tvm.IRModule:
        height, width, depth = self.low
        large = height * self.factor, width * self.factor
        high = (height, width) if self.both_upsampled else large
        builder = relax.BlockBuilder()
        low, high = (
            relax.Var(name, relax.TensorType((1, *size), "int8"))
            for name, size in (("low", self.low), ("high", (*high, self.high_channels)))
        )

        def quantized(value: relax.Expr, scale: float, zero_point: int) -> relax.Var:
            zero = relax.const(zero_point, "int8")
            return builder.emit(relax.op.quantize(builder.emit(value), relax.const(scale), zero))

        def dequantized(value: relax.Expr) -> relax.Var:
            zero = relax.const(ZERO_POINT, "int8")
            return builder.emit(relax.op.dequantize(value, relax.const(SCALE), zero))

        def upsampled(value: relax.Expr) -> relax.Var:
            larger = relax.op.image.resize2d(
                dequantized(value),
                large,
                layout="NHWC",
                method="nearest_neighbor",
                coordinate_transformation_mode="asymmetric",
                rounding_method="floor",
            )
            return quantized(larger, SCALE, ZERO_POINT)

        def shuffled(value: relax.Expr) -> relax.Var:
            factor = self.factor
            blocks = (1, height, width, factor, factor, depth // factor**2)
            pixels = builder.emit(relax.op.reshape(dequantized(value), blocks))
            rows = builder.emit(relax.op.permute_dims(pixels, [0, 1, 3, 2, 4, 5]))
            larger = relax.op.reshape(rows, (1, *large, depth // factor**2))
            return quantized(larger, SCALE, ZERO_POINT)

        with builder.function("main", [low, high]):
            with builder.dataflow():
                made = shuffled(low) if self.low_is_shuffled else upsampled(low)
                parts = [made, upsampled(high) if self.both_upsampled else high]
                parts = parts if self.low_is_first else parts[::-1]
                joined = relax.op.concat([dequantized(part) for part in parts], axis=3)
                data = dequantized(quantized(joined, SCALE, ZERO_POINT))
                scales = relax.const(np.full(self.channels_out, WEIGHT_SCALE, "float32"))
                weight = relax.op.dequantize(
                    relax.const(self.weight()), scales, relax.const(0, "int8"), axis=0
                )
                conv = relax.op.nn.conv2d(
                    data,
                    builder.emit(weight),
                    padding=self.kernel // 2,
                    data_layout="NHWC",
                    kernel_layout="OIHW",
                    out_layout="NHWC",
                )
                out = builder.emit_output(quantized(conv, OUTPUT_SCALE, OUTPUT_ZERO_POINT))
            builder.emit_func_output(out)
        return builder.get()

    def expected(self, low: NDArray[np.int8], high: NDArray[np.int8]) -> NDArray[np.int8]:
        """By way of the large tensors."""
        repeated = low.repeat(self.factor, axis=1).repeat(self.factor, axis=2)
        if self.low_is_shuffled:
            (_, height, width, depth), factor = low.shape, self.factor
            pixels = low.reshape(height, width, factor, factor, depth // factor**2)
            large = 1, height * factor, width * factor, depth // factor**2
            repeated = pixels.swapaxes(1, 2).reshape(large)
        parts = [repeated, high] if self.low_is_first else [high, repeated]
        bias = np.zeros(self.channels_out, np.int64)
        accumulator = ops.conv2d(
            *(np.concatenate(parts, axis=3), ZERO_POINT, self.weight(), bias),
            *((1, 1), (self.kernel // 2,) * 4),
        )
        multiplier = np.full(self.channels_out, SCALE * WEIGHT_SCALE / OUTPUT_SCALE, np.float32)
        return ops.requantize(accumulator, multiplier, OUTPUT_ZERO_POINT, -128, 127)


def computed(
    lowered: tvm.IRModule, core: CpuCore, low: NDArray[np.int8], high: NDArray[np.int8]
) -> NDArray[np.int8]:
    """What the ``lowered`` network makes of the tensors on this machine."""
    built = relax.build(
        apply_default_schedule(core)(lowered), tvm_target(load_target("host"), core.threads)
    )
    machine = relax.VirtualMachine(built, tvm.cpu())
    return machine["main"](tvm.runtime.tensor(low), tvm.runtime.tensor(high)).numpy()


def calls(mod: tvm.IRModule) -> list[relax.Call]:
    return [binding.value for binding in mod["main"].body.blocks[0].bindings]


@pytest.mark.parametrize("low_is_first", [True, False])
def test_one_kernel_reads_both_tensors(low_is_first: bool) -> None:
    network, dot = Network(low_is_first=low_is_first), sdot()
    after = LowerQuantizedOps(cpu_backend(dot))(network.module())
    (call,) = calls(after)
    expected = create_int8_concat_pointwise((1, 3, 5, 6), 9, 2, 16, dot, REQUANTIZE)
    assert_structural_equal(after[call.args[0]], expected)
    low, high, *constants = call.args[1].fields
    assert [var.name for var in (low, high)] == ["low", "high"]
    low_weight, high_weight, bias, _, quant = (constant.value.numpy() for constant in constants)
    weight = network.weight()
    parts = (weight[:, :6], weight[:, 6:]) if low_is_first else (weight[:, 9:], weight[:, :9])
    for found, part in zip((low_weight, high_weight), parts, strict=True):
        np.testing.assert_array_equal(found, pack_for_dot_product(part, dot))
    np.testing.assert_array_equal(bias, -ZERO_POINT * weight.astype(int).sum(axis=(1, 2, 3)))
    assert quant.tolist() == [ZERO_POINT, OUTPUT_ZERO_POINT, -128, 127]


@pytest.mark.parametrize(
    "network",
    [
        Network(channels_out=13),
        Network(kernel=3),
        Network(both_upsampled=True),
    ],
    ids=["vectors that are not filled", "3x3", "two upsampled tensors"],
)
def test_others_are_joined_first(network: Network) -> None:
    after = LowerQuantizedOps(cpu_backend(sdot()))(network.module())
    names = [call.args[0].name_hint for call in calls(after)]
    assert names[-2:] == ["concat", "conv2d_requantize"]


@pytest.mark.parametrize(
    ("shuffled", "low_is_first"), [(False, True), (True, False)], ids=["upsampled", "shuffled"]
)
def test_a_3x3_convolution_reads_the_parts(shuffled: bool, low_is_first: bool) -> None:
    depth = 32 * (4 if shuffled else 1)
    network = Network((8, 8, depth), 64, 2, 32, low_is_first, 3, low_is_shuffled=shuffled)
    dot = pmaddwd(128)
    pairs = pair_product_of(dot, 128)
    assert pairs is not None
    lowered = LowerQuantizedOps(cpu_backend(dot))(network.module())
    (call,) = calls(lowered)
    parts = JoinedPart(32, 2, shuffled), JoinedPart(64)
    same = Window((3, 3), (1, 1), (1, 1, 1, 1))
    expected = create_winograd_conv(
        *((1, 16, 16, 96), 32, same, pairs, REQUANTIZE),
        parts if low_is_first else parts[::-1],
    )
    assert_structural_equal(lowered[call.args[0]], expected)
    tensors = [var.name for var in call.args[1].fields[:2]]
    assert tensors == (["low", "high"] if low_is_first else ["high", "low"])
    random = np.random.default_rng(2)
    low, high = (
        random.integers(-128, 128, size, dtype=np.int8)
        for size in ((1, 8, 8, depth), (1, 16, 16, 64))
    )
    np.testing.assert_array_equal(computed(lowered, CORE, low, high), network.expected(low, high))


def test_parts_that_fill_no_vectors_are_joined_first() -> None:
    network = Network((8, 8, 36), 36, 2, 32, kernel=3)
    after = LowerQuantizedOps(cpu_backend(pmaddwd(128)))(network.module())
    names = [call.args[0].name_hint for call in calls(after)]
    assert names == ["upsample", "concat", "conv2d_requantize"]


def test_without_a_dot_product_the_tensors_are_joined_first() -> None:
    after = LowerQuantizedOps(cpu_backend())(Network().module())
    names = [call.args[0].name_hint for call in calls(after)]
    assert names == ["upsample", "concat", "conv2d_requantize"]


@dots
@pytest.mark.parametrize(
    "network",
    [
        Network(),
        Network(low_is_first=False),
        Network((1, 1, 1), 1, 2, 48),
        Network((7, 11, 8), 5, 3, 32),
        Network((4, 16, 16), 3),
        Network((3, 33, 7), 20, 1, 32),
    ],
    ids=str,
)
def test_the_kernel_computes_what_the_large_tensors_would_give(
    network: Network, dot: DotProduct, core: CpuCore
) -> None:
    random = np.random.default_rng(1)
    height, width, channels = network.low
    low = random.integers(-128, 128, (1, height, width, channels), dtype=np.int8)
    large = (1, height * network.factor, width * network.factor, network.high_channels)
    high = random.integers(-128, 128, large, dtype=np.int8)
    lowered = LowerQuantizedOps(cpu_backend(dot))(network.module())
    assert len(calls(lowered)) == 1
    found = computed(lowered, core, low, high)
    expected = network.expected(low, high)
    np.testing.assert_array_equal(found, expected)
    assert len(np.unique(found)) > 10 or found.size < 200


def test_the_match_is_of_the_sizes() -> None:
    """A factor of one repeats nothing, and is a resize all the same."""
    after = LowerQuantizedOps(cpu_backend(sdot()))(replace(Network(), factor=1).module())
    assert len(calls(after)) == 1
