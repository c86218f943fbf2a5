"""FuseInvertedResiduals: expand, depthwise, project and the residual add become one kernel."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest
import tvm
from inverted_residuals import PLAIN, Drawn
from numpy.typing import NDArray
from tvm import relax, tirx
from tvm.ir import assert_structural_equal

from compile.graph.layers import Mark, layers_of, with_marks
from compile.kernels.common.conv_epilogue import ConvEpilogue, EpilogueKind
from compile.kernels.common.core_model import CpuCore
from compile.kernels.cpu.instructions.arm_sdot import sdot
from compile.kernels.cpu.instructions.dot_product import DotProduct
from compile.kernels.cpu.int8.int8_concat_pointwise import create_int8_concat_pointwise
from compile.kernels.cpu.int8.int8_depthwise import create_int8_depthwise
from compile.kernels.cpu.int8.int8_pointwise import create_int8_pointwise
from compile.kernels.cpu.inverted_residual.inverted_residual import create_inverted_residual
from compile.kernels.cpu.inverted_residual.inverted_residual_sizes import InvertedResidual
from compile.kernels.cpu.inverted_residual.tile_inverted_residual import cut_inverted_residual
from compile.kernels.cpu.plain.elementwise import create_add, create_multiply
from compile.passes.fuse_inverted_residuals import FuseInvertedResiduals

REQUANTIZE = ConvEpilogue(EpilogueKind.REQUANTIZE)
DOT, UNIT = sdot(), CpuCore(128, 32, 1, l2_bytes=1 << 16)
LOW = replace(PLAIN, low_channels=12, factor=2)
ADDING = replace(PLAIN, adds_data=True)


@dataclass(frozen=True)
class Network:
    """A block kernel by kernel, and what may keep it from being one.

    Attributes:
        drawn: its numbers.
        data_is_left: of the residual add.
        also_returns: the kernel whose result is read from outside, too.
    """

    drawn: Drawn
    dot: DotProduct = DOT
    data_is_left: bool = False
    also_returns: int | None = None

    def module(self) -> tvm.IRModule:
        block, builder = self.drawn.block, relax.BlockBuilder()
        *pictures, data = [
            relax.Var(name, relax.TensorType(array.shape, "int8"))
            for name, array in self.inputs().items()
        ]
        operands = [relax.const(array) for array in self.drawn.operands(self.dot)]
        operands = operands[len(pictures) + 1 :]
        if block.has_channel_scale:
            gate, operands = operands[-3:], operands[:-3]
        values = [data]

        def call(kernel: tirx.PrimFunc, *args: relax.Expr) -> None:
            shape = [int(extent) for extent in kernel.params[-1].ty.shape]
            name = builder.add_func(kernel, f"kernel{len(values)}")
            value = relax.op.call_tir(name, list(args), relax.TensorType(shape, "int8"))
            values.append(builder.emit(with_marks(value, [Mark(f"layer{len(values)}")])))

        with builder.function("main", [*pictures, data]):
            with builder.dataflow():
                weights = len(pictures) + 1
                sources = [*pictures, data]
                if block.has_channel_scale:
                    shape = [int(extent) for extent in sources[0].ty.shape]
                    call(create_multiply(shape, (1, 1, 1, shape[3])), sources[0], *gate)
                    sources[0] = values[-1]
                call(self._expand(), *sources, *operands[: weights + 3])
                operands = operands[weights + 3 :]
                size = (1, block.height, block.width)
                kernel = create_int8_depthwise(
                    (*size, block.expanded), block.window, self.dot, REQUANTIZE
                )
                call(kernel, values[-1], *operands[:4])
                shape = (1, *block.output_size, block.expanded)
                kernel = create_int8_pointwise(shape, block.channels_out, self.dot, REQUANTIZE)
                call(kernel, values[-1], *operands[4:8])
                if block.adds_data:
                    self._add(call, values[-1], sources[-1], *operands[8:])
                result = values[-1]
                if self.also_returns is not None:
                    result = relax.Tuple([result, values[self.also_returns]])
                out = builder.emit_output(result)
            builder.emit_func_output(out)
        return builder.get()

    def inputs(self) -> dict[str, NDArray[np.int8]]:
        """By the names of the parameters."""
        pictures = {"low": self.drawn.low, "data": self.drawn.data}
        return pictures if self.drawn.block.low_channels else {"data": self.drawn.data}

    def _expand(self) -> tirx.PrimFunc:
        block = self.drawn.block
        if not block.low_channels:
            return create_int8_pointwise(
                self.drawn.data.shape, block.expanded, self.dot, REQUANTIZE
            )
        return create_int8_concat_pointwise(
            self.drawn.low.shape, block.channels_in, block.factor, block.expanded, self.dot,
            REQUANTIZE,
        )  # fmt: skip

    def _add(self, call, projected, data, multiplier, quant) -> None:
        shape = self.drawn.data.shape
        if not self.data_is_left:
            return call(create_add(shape, shape), projected, data, multiplier, quant)
        left, right = (numbers.value.numpy() for numbers in (multiplier, quant))
        swapped = [relax.const(left[::-1].copy()), relax.const(right[[4, 1, 2, 3, 0]])]
        return call(create_add(shape, shape), data, projected, *swapped)


def calls(mod: tvm.IRModule) -> list[relax.Call]:
    bindings = [b.value for block in mod["main"].body.blocks for b in block.bindings]
    return [value for value in bindings if isinstance(value, relax.Call)]


@pytest.mark.parametrize(
    "network",
    [
        Network(Drawn(PLAIN, 0)),
        Network(Drawn(LOW, 1)),
        Network(Drawn(ADDING, 2)),
        Network(Drawn(ADDING, 3), data_is_left=True),
        Network(Drawn(replace(ADDING, has_channel_scale=True), 4)),
        Network(Drawn(replace(LOW, has_channel_scale=True), 5)),
    ],
    ids=[
        *("block", "with a smaller picture", "with an add", "with an add of the data first"),
        *("with a gate and an add", "with a gate of the smaller picture"),
    ],
)
def test_a_block_becomes_one_kernel(network: Network) -> None:
    drawn = network.drawn
    before = network.module()
    after = FuseInvertedResiduals(DOT, UNIT)(before)
    (call,) = calls(after)
    cut = cut_inverted_residual(drawn.block, DOT, UNIT)
    assert_structural_equal(after[call.args[0]], create_inverted_residual(cut, DOT))
    assert layers_of(call) == tuple(f"layer{n + 1}" for n in range(len(calls(before))))
    inputs = network.inputs()
    fields = call.args[1].fields
    assert [var.name for var in fields[: len(inputs)]] == list(inputs)
    operands = drawn.operands(DOT)[len(inputs) :]
    for found, expected in zip(fields[len(inputs) :], operands, strict=True):
        np.testing.assert_array_equal(found.value.numpy(), expected)
    for module in (before, after):
        machine = relax.VirtualMachine(tvm.compile(module, "llvm"), tvm.cpu())
        result = machine["main"](*(tvm.runtime.tensor(array) for array in inputs.values()))
        np.testing.assert_array_equal(result.numpy(), drawn.expected)


@pytest.mark.parametrize("member", [1, 2])
def test_a_tensor_that_is_read_elsewhere_is_made(member: int) -> None:
    module = Network(Drawn(PLAIN, 0), also_returns=member).module()
    assert_structural_equal(FuseInvertedResiduals(DOT, UNIT)(module), module)


def test_a_projection_that_is_read_elsewhere_is_not_added_to() -> None:
    after = FuseInvertedResiduals(DOT, UNIT)(Network(Drawn(ADDING, 0), also_returns=3).module())
    names = [call.args[0].name_hint for call in calls(after)]
    assert names == ["inverted_residual_requantize", "kernel4"]


def test_a_product_that_is_read_elsewhere_is_made() -> None:
    drawn = Drawn(replace(ADDING, has_channel_scale=True), 0)
    after = FuseInvertedResiduals(DOT, UNIT)(Network(drawn, also_returns=1).module())
    names = [call.args[0].name_hint for call in calls(after)]
    assert names == ["kernel1", "inverted_residual_requantize"]


def test_only_the_data_is_added() -> None:
    """Another elementwise kernel of the same operands stays."""

    class Multiplying(Network):
        def _add(self, call, projected, data, multiplier, quant) -> None:
            shape = self.drawn.data.shape
            call(create_multiply(shape, shape), projected, data, multiplier, quant)

    module = Multiplying(Drawn(ADDING, 0)).module()
    names = [call.args[0].name_hint for call in calls(FuseInvertedResiduals(DOT, UNIT)(module))]
    assert names == ["inverted_residual_requantize", "kernel4"]


@pytest.mark.parametrize(
    ("block", "dot", "core"),
    [
        (replace(PLAIN, channels_in=6), DOT, UNIT),
        (PLAIN, DOT, replace(UNIT, l2_bytes=1 << 10)),
        (PLAIN, DOT, replace(UNIT, threads=4)),
    ],
    ids=["channels that fill no group", "small cache", "many threads"],
)
def test_others_stay_as_they_are(block: InvertedResidual, dot: DotProduct, core: CpuCore):
    after = FuseInvertedResiduals(dot, core)(Network(Drawn(block, 0), dot).module())
    assert [call.args[0].name_hint for call in calls(after)] == ["kernel1", "kernel2", "kernel3"]


def test_without_a_dot_product_nothing_changes() -> None:
    module = Network(Drawn(PLAIN, 0)).module()
    assert_structural_equal(FuseInvertedResiduals(None, UNIT)(module), module)
