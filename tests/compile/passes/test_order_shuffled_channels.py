"""OrderShuffledChannels: filters change places, and the shuffle moves the channels of a pixel."""

from __future__ import annotations

import numpy as np
import tvm
import tvm_ffi
from tvm import relax
from tvm.ir import assert_structural_equal
from tvm.script import ir as I
from tvm.script import relax as R

from compile.graph.layers import Mark, label_calls, marks_of
from compile.passes.convert_layout import ConvertLayout
from compile.passes.order_shuffled_channels import OrderShuffledChannels

# Channel c at row i and column j of a block: 4 c + 2 i + j before, (2 i + j) * 2 + c behind.
ORDER = [0, 4, 1, 5, 2, 6, 3, 7]
WEIGHT = np.arange(8 * 3, dtype="int8").reshape(8, 3, 1, 1)
SCALE = np.arange(1, 9, dtype="float32") / 16
BIAS = np.arange(8, dtype="float32").reshape(1, 1, 1, 8)
ZERO = np.int8(0)
ORDERED_WEIGHT, ORDERED_SCALE = WEIGHT[ORDER], SCALE[ORDER]
ORDERED_BIAS = np.ascontiguousarray(BIAS[..., ORDER])


def test_quantized_filters_their_scales_and_the_bias() -> None:
    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((1, 5, 7, 3), "float32")) -> R.Tensor((1, 10, 14, 2), "float32"):
            with R.dataflow():
                w = R.dequantize(R.const(WEIGHT), R.const(SCALE), R.const(ZERO), axis=0)
                conv = R.nn.conv2d(
                    x, w, data_layout="NHWC", kernel_layout="OIHW", out_layout="NHWC"
                )
                biased = R.add(conv, R.const(BIAS))
                active = R.nn.relu(biased)
                q = R.quantize(active, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                d = R.dequantize(q, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                blocks = R.reshape(d, (1, 5, 7, 2, 2, 2))
                rows = R.permute_dims(blocks, [0, 1, 4, 2, 5, 3])
                out = R.reshape(rows, (1, 10, 14, 2))
                R.output(out)
            return out

    @I.ir_module
    class After:
        @R.function
        def main(x: R.Tensor((1, 5, 7, 3), "float32")) -> R.Tensor((1, 10, 14, 2), "float32"):
            with R.dataflow():
                w = R.dequantize(
                    R.const(ORDERED_WEIGHT), R.const(ORDERED_SCALE), R.const(ZERO), axis=0
                )
                conv = R.nn.conv2d(
                    x, w, data_layout="NHWC", kernel_layout="OIHW", out_layout="NHWC"
                )
                biased = R.add(conv, R.const(ORDERED_BIAS))
                active = R.nn.relu(biased)
                q = R.quantize(active, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                d = R.dequantize(q, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                pixels = R.reshape(d, (1, 5, 7, 2, 2, 2))
                columns = R.permute_dims(pixels, [0, 1, 3, 2, 4, 5])
                out = R.reshape(columns, (1, 10, 14, 2))
                R.output(out)
            return out

    # What the old order was made of is still there, and read by nothing.
    passes = [OrderShuffledChannels(), relax.transform.DeadCodeElimination()]
    assert_structural_equal(tvm.transform.Sequential(passes)(Before), After)


def _shuffled(second_reader: bool, groups: int = 1) -> tvm.IRModule:
    """A convolution and a pixel shuffle, NCHW as they are imported."""
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((1, 8, 3, 4), "float32"))
    weight = np.random.default_rng(0).standard_normal((8, 8 // groups, 1, 1)).astype("float32")
    with builder.function("main", [x]):
        with builder.dataflow():
            conv = builder.emit(relax.op.nn.conv2d(x, relax.const(weight), groups=groups))
            conv = builder.emit(relax.op.nn.relu(conv))
            out = builder.emit(relax.op.nn.pixel_shuffle(conv, 2))
            if second_reader:
                out = builder.emit(relax.op.concat([relax.op.nn.pixel_shuffle(conv, 2), out], 1))
            result = builder.emit_output(out)
        builder.emit_func_output(result)
    return ConvertLayout()(builder.get())


def test_what_another_op_reads_keeps_its_order() -> None:
    before = _shuffled(second_reader=True)
    assert_structural_equal(OrderShuffledChannels()(before), before)


def test_a_grouped_convolution_keeps_its_order() -> None:
    before = _shuffled(second_reader=False, groups=8)
    assert_structural_equal(OrderShuffledChannels()(before), before)
    dense = _shuffled(second_reader=False)
    assert not tvm_ffi.structural_equal(OrderShuffledChannels()(dense), dense)


def test_channels_in_another_order_are_no_tensor_of_the_program() -> None:
    """They would be compared with it, and found wrong."""
    dense = _shuffled(second_reader=False)
    bindings = [one for block in dense["main"].body.blocks for one in block.bindings]
    marks = {one.var: (Mark("net.up", number),) for number, one in enumerate(bindings)}
    dense["main"] = label_calls(dense["main"], marks)
    ordered = OrderShuffledChannels()(dense)["main"]
    found = {
        one.value.op.name: marks_of(one.value)[0].node
        for block in ordered.body.blocks
        for one in block.bindings
        if marks_of(one.value)
    }
    assert found["relax.nn.conv2d"] == found["relax.nn.relu"] == -1 < found["relax.reshape"]
