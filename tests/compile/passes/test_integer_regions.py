"""PartitionPrecision: integers that go on behind float operations are regions of their own."""

from __future__ import annotations

import logging

from tvm.ir import assert_structural_equal
from tvm.script import ir as I
from tvm.script import relax as R

from compile.passes.partition_precision import PartitionPrecision


@I.ir_module
class TwoRegions:
    """A float op without an integer kernel, whose result is quantized again, and read as a float
    at the end; the last float op reads int8 tensors of both regions, and the input."""

    @R.function
    def main(x: R.Tensor((1, 5, 6, 4), "uint8")) -> R.Tensor((1, 5, 6, 4), "float32"):
        with R.dataflow():
            picture = R.astype(x, "float32")
            q0 = R.quantize(picture, R.const(1.0, "float32"), R.const(-128, "int8"), axis=-1)
            d0 = R.dequantize(q0, R.const(1.0, "float32"), R.const(-128, "int8"), axis=-1)
            smooth = R.nn.softmax(d0, axis=3)
            late = R.quantize(smooth, R.const(0.5, "float32"), R.const(0, "int8"), axis=-1)
            d1 = R.dequantize(late, R.const(0.5, "float32"), R.const(0, "int8"), axis=-1)
            gate = R.sigmoid(d1)
            q1 = R.quantize(gate, R.const(0.5, "float32"), R.const(0, "int8"), axis=-1)
            d2 = R.dequantize(q1, R.const(0.5, "float32"), R.const(0, "int8"), axis=-1)
            sharp = R.divide(smooth, d2)
            product = R.multiply(sharp, d0)
            out = R.add(product, picture)
            R.output(out)
        return out


def test_quantized_tensor_behind_a_float_op_opens_a_region(caplog) -> None:
    """The float that the second head reads comes from the first; bytes are passed on as bytes, and
    the input's own arithmetic is done where it is read."""

    @I.ir_module
    class After:
        @R.function
        def backbone(x: R.Tensor((1, 5, 6, 4), "uint8")) -> R.Tensor((1, 5, 6, 4), "int8"):
            with R.dataflow():
                picture = R.astype(x, "float32")
                q0 = R.quantize(picture, R.const(1.0, "float32"), R.const(-128, "int8"), axis=-1)
                out = q0
                R.output(out)
            return out

        @R.function
        def head(
            q0: R.Tensor((1, 5, 6, 4), "int8"),
        ) -> R.Tuple(R.Tensor((1, 5, 6, 4), "float32"), R.Tensor((1, 5, 6, 4), "int8")):
            with R.dataflow():
                d0 = R.dequantize(q0, R.const(1.0, "float32"), R.const(-128, "int8"), axis=-1)
                smooth = R.nn.softmax(d0, axis=3)
                late = R.quantize(smooth, R.const(0.5, "float32"), R.const(0, "int8"), axis=-1)
                out = (smooth, late)
                R.output(out)
            return out

        @R.function
        def backbone_1(late: R.Tensor((1, 5, 6, 4), "int8")) -> R.Tensor((1, 5, 6, 4), "int8"):
            with R.dataflow():
                d1 = R.dequantize(late, R.const(0.5, "float32"), R.const(0, "int8"), axis=-1)
                gate = R.sigmoid(d1)
                q1 = R.quantize(gate, R.const(0.5, "float32"), R.const(0, "int8"), axis=-1)
                out = q1
                R.output(out)
            return out

        @R.function
        def head_1(
            q1: R.Tensor((1, 5, 6, 4), "int8"),
            x: R.Tensor((1, 5, 6, 4), "uint8"),
            q0: R.Tensor((1, 5, 6, 4), "int8"),
            smooth: R.Tensor((1, 5, 6, 4), "float32"),
        ) -> R.Tensor((1, 5, 6, 4), "float32"):
            with R.dataflow():
                picture = R.astype(x, "float32")
                d0 = R.dequantize(q0, R.const(1.0, "float32"), R.const(-128, "int8"), axis=-1)
                d2 = R.dequantize(q1, R.const(0.5, "float32"), R.const(0, "int8"), axis=-1)
                sharp = R.divide(smooth, d2)
                product = R.multiply(sharp, d0)
                total = R.add(product, picture)
                out = total
                R.output(out)
            return out

        @R.function
        def main(x: R.Tensor((1, 5, 6, 4), "uint8")) -> R.Tensor((1, 5, 6, 4), "float32"):
            cls = After
            with R.dataflow():
                q0 = cls.backbone(x)
                pair = cls.head(q0)
                smooth = pair[0]
                late = pair[1]
                q1 = cls.backbone_1(late)
                out = cls.head_1(q1, x, q0, smooth)
                R.output(out)
            return out

    caplog.set_level(logging.INFO, "compile.passes.partition_precision")
    assert_structural_equal(PartitionPrecision()(TwoRegions), After)
    assert caplog.messages == ["late is not in a backbone: nn.softmax has no integer kernel"]


def test_simple_arithmetic_is_done_where_it_is_read() -> None:
    """A float that the first head quantizes is passed on, and what is only read later is not made
    of it before."""

    @I.ir_module
    class Before:
        @R.function
        def main(q0: R.Tensor((1, 5, 6, 4), "int8")) -> R.Tensor((1, 5, 6, 4), "float32"):
            with R.dataflow():
                d0 = R.dequantize(q0, R.const(1.0, "float32"), R.const(-128, "int8"), axis=-1)
                active = R.nn.relu(d0)
                q1 = R.quantize(active, R.const(0.5, "float32"), R.const(0, "int8"), axis=-1)
                d1 = R.dequantize(q1, R.const(0.5, "float32"), R.const(0, "int8"), axis=-1)
                smooth = R.nn.softmax(d1, axis=3)
                large = R.multiply(smooth, R.const(9.0, "float32"))
                whole = R.floor(large)
                late = R.quantize(smooth, R.const(0.5, "float32"), R.const(0, "int8"), axis=-1)
                d2 = R.dequantize(late, R.const(0.5, "float32"), R.const(0, "int8"), axis=-1)
                gate = R.sigmoid(d2)
                q2 = R.quantize(gate, R.const(0.5, "float32"), R.const(0, "int8"), axis=-1)
                d3 = R.dequantize(q2, R.const(0.5, "float32"), R.const(0, "int8"), axis=-1)
                out = R.divide(whole, d3)
                R.output(out)
            return out

    after = PartitionPrecision()(Before)
    assert _ops(after["head"]) == ["dequantize", "nn.softmax", "quantize"]
    assert _ops(after["head_1"]) == ["multiply", "floor", "dequantize", "divide"]


def test_all_behind_the_first_backbone_is_one_head_where_it_is_asked_for() -> None:
    after = PartitionPrecision(one_head=True)(TwoRegions)
    assert {name.name_hint for name in after.get_global_vars()} == {"main", "backbone", "head"}
    assert _ops(after["backbone"]) == ["astype", "quantize"]
    assert _ops(after["head"]) == [
        *("astype", "dequantize", "nn.softmax", "quantize"),
        *("dequantize", "sigmoid", "quantize", "dequantize"),
        *("divide", "multiply", "add"),
    ]


def test_quantized_tensor_that_only_floats_read_opens_no_region() -> None:
    @I.ir_module
    class Before:
        @R.function
        def main(q0: R.Tensor((1, 5, 6, 4), "int8")) -> R.Tensor((1, 5, 6, 4), "float32"):
            with R.dataflow():
                d0 = R.dequantize(q0, R.const(0.5, "float32"), R.const(1, "int8"), axis=-1)
                active = R.nn.relu(d0)
                q1 = R.quantize(active, R.const(0.25, "float32"), R.const(3, "int8"), axis=-1)
                d1 = R.dequantize(q1, R.const(0.25, "float32"), R.const(3, "int8"), axis=-1)
                smooth = R.nn.softmax(d1, axis=3)
                late = R.quantize(smooth, R.const(0.5, "float32"), R.const(0, "int8"), axis=-1)
                d2 = R.dequantize(late, R.const(0.5, "float32"), R.const(0, "int8"), axis=-1)
                out = R.nn.softmax(d2, axis=3)
                R.output(out)
            return out

    after = PartitionPrecision()(Before)
    assert {name.name_hint for name in after.get_global_vars()} == {"main", "backbone", "head"}
    assert _ops(after["head"]) == [
        *("dequantize", "nn.softmax", "quantize", "dequantize", "nn.softmax"),
    ]


def _ops(function) -> list[str]:
    block = function.body.blocks[0]
    calls = [binding.value for binding in block.bindings if hasattr(binding.value, "op")]
    return [call.op.name.removeprefix("relax.") for call in calls]
