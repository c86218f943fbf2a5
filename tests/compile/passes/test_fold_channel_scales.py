"""FoldChannelScales: channel attention's multiply goes into the convolution that reads the
product."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from dot_instructions import dots
from kernel_draws import draw_int8
from numpy.typing import NDArray
from reference import ops
from tvm import relax
from tvm.ir import assert_structural_equal

from compile.kernels.common.conv_epilogue import ConvEpilogue, EpilogueKind
from compile.kernels.common.core_model import CpuCore
from compile.kernels.cpu.instructions.arm_sdot import sdot
from compile.kernels.cpu.instructions.dot_product import DotProduct
from compile.kernels.cpu.int8.int8_concat_pointwise import create_int8_concat_pointwise
from compile.kernels.cpu.int8.packed_weight import pack_for_dot_product
from compile.kernels.cpu.plain.elementwise import create_multiply
from compile.passes.apply_default_schedule import apply_default_schedule
from compile.passes.fold_channel_scales import FoldChannelScales
from targets.describe_target import tvm_target
from targets.load_target import load_target

REQUANTIZE = ConvEpilogue(EpilogueKind.REQUANTIZE)
LOW, HIGH, CHANNELS_OUT = (1, 3, 5, 7), (1, 6, 10, 9), 16
MULTIPLIER, CONV_MULTIPLIER = np.float32(0.005), np.float32(0.002)
#: Zero points of the picture and the product, limits, zero point of the gate; and of the result.
GATE_QUANT, QUANT = [3, -7, -128, 110, 9], [-7, 4, -100, 100]


class Network:
    """conv(concat(upsample(low * gate), high)), of numbers that are drawn once."""

    def __init__(self, dot: DotProduct) -> None:
        random = np.random.default_rng(0)
        self.dot = dot
        self.low, self.high = draw_int8(random, LOW), draw_int8(random, HIGH)
        self.gate = draw_int8(random, (1, 1, 1, LOW[3]))
        self.weight = draw_int8(random, (CHANNELS_OUT, LOW[3] + HIGH[3], 1, 1))

    def module(self, reads_product: bool = False, spatial: bool = False) -> tvm.IRModule:
        dot, weight = self.dot, self.weight
        builder = relax.BlockBuilder()
        gate_shape = (1, *LOW[1:3], 1) if spatial else self.gate.shape
        names = {"low": LOW, "gate": gate_shape, "high": HIGH}
        low, gate, high = params = [
            relax.Var(name, relax.TensorType(shape, "int8")) for name, shape in names.items()
        ]
        offset = -(QUANT[0] + dot.shift) * weight.astype(np.int32).sum(axis=(1, 2, 3))
        with builder.function("main", params):
            with builder.dataflow():
                kernel = builder.add_func(create_multiply(LOW, gate_shape), "multiply")
                quant = relax.const(np.array(GATE_QUANT, np.int32))
                operands = [low, gate, relax.const(np.array([MULTIPLIER])), quant]
                product = relax.op.call_tir(kernel, operands, relax.TensorType(LOW, "int8"))
                product = builder.emit(product)
                kernel = create_int8_concat_pointwise(
                    LOW, HIGH[3], 2, CHANNELS_OUT, dot, REQUANTIZE
                )
                constants = [
                    pack_for_dot_product(weight[:, : LOW[3]], dot),
                    pack_for_dot_product(weight[:, LOW[3] :], dot),
                    offset.astype(np.int32),
                    np.full(CHANNELS_OUT, CONV_MULTIPLIER),
                    np.array(QUANT, np.int32),
                ]
                operands = [product, high, *(relax.const(array) for array in constants)]
                result = relax.TensorType((*HIGH[:3], CHANNELS_OUT), "int8")
                conv = relax.op.call_tir(builder.add_func(kernel, "conv"), operands, result)
                out = builder.emit(conv)
                out = builder.emit_output(relax.Tuple([out, product]) if reads_product else out)
            builder.emit_func_output(out)
        return builder.get()

    def expected(self) -> NDArray[np.int8]:
        picture, zero_point, low, high, gate = GATE_QUANT
        product = ops.multiply(
            self.low, picture, self.gate, gate, MULTIPLIER, zero_point, low, high
        )
        joined = np.concatenate([product.repeat(2, axis=1).repeat(2, axis=2), self.high], axis=3)
        bias = np.zeros(CHANNELS_OUT, np.int64)
        return ops.requantize(
            ops.conv2d(joined, zero_point, self.weight, bias), CONV_MULTIPLIER, *QUANT[1:]
        )


def calls(mod: tvm.IRModule) -> list[relax.Call]:
    bindings = [b.value for block in mod["main"].body.blocks for b in block.bindings]
    return [value for value in bindings if isinstance(value, relax.Call)]


@dots
def test_the_kernel_multiplies(dot: DotProduct, core: CpuCore) -> None:
    network = Network(dot)
    after = FoldChannelScales(dot)(network.module())
    (call,) = calls(after)
    expected = create_int8_concat_pointwise(
        LOW, HIGH[3], 2, CHANNELS_OUT, dot, REQUANTIZE, has_channel_scale=True
    )
    assert_structural_equal(after[call.args[0]], expected)
    target = tvm_target(load_target("host"), core.threads)
    machine = relax.VirtualMachine(
        relax.build(apply_default_schedule(core)(after), target), tvm.cpu()
    )
    inputs = (network.low, network.gate, network.high)
    found = machine["main"](*(tvm.runtime.tensor(array) for array in inputs)).numpy()
    np.testing.assert_array_equal(found, network.expected())
    assert len(np.unique(found)) > 50


@pytest.mark.parametrize("reason", ["reads_product", "spatial"])
def test_others_stay_as_they_are(reason: str) -> None:
    """A product that is read elsewhere, and a gate for pixels."""
    after = FoldChannelScales(sdot())(Network(sdot()).module(**{reason: True}))
    assert [call.args[0].name_hint for call in calls(after)] == ["multiply", "conv"]
