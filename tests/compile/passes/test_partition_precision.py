"""PartitionPrecision: where the boundary lies, what each part takes, and why a graph has none.

Networks from PyTorch go through the same pass in test_other_networks.py.
"""

from __future__ import annotations

import numpy as np
import pytest
from tvm.ir import assert_structural_equal
from tvm.script import ir as I
from tvm.script import relax as R

from compile.passes.partition_precision import PartitionPrecision
from compile.support.errors import GraphError

WEIGHT = np.arange(-8, 8).reshape(4, 4, 1, 1).astype("int8")
WEIGHT_SCALE = np.array([0.1, 0.2, 0.3, 0.4], "float32")
HEAD_WEIGHT = np.linspace(-1, 1, 8, dtype="float32").reshape(2, 4, 1, 1)


def test_uint8_picture_goes_into_the_backbone() -> None:
    """The picture's quantization is a table, so it is integer work; the head reads the picture as
    well, and each part gets only the parameters that it needs."""

    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((1, 5, 6, 4), "uint8")) -> R.Tensor((1, 5, 6, 4), "float32"):
            with R.dataflow():
                picture = R.multiply(R.astype(x, "float32"), R.const(0.5, "float32"))
                q0 = R.quantize(picture, R.const(0.5, "float32"), R.const(-128, "int8"), axis=-1)
                d0 = R.dequantize(q0, R.const(0.5, "float32"), R.const(-128, "int8"), axis=-1)
                weight = R.dequantize(
                    R.const(WEIGHT), R.const(WEIGHT_SCALE), R.const(0, "int8"), axis=0
                )
                conv = R.nn.conv2d(
                    d0, weight, data_layout="NHWC", kernel_layout="OIHW", out_layout="NHWC"
                )
                q1 = R.quantize(conv, R.const(0.25, "float32"), R.const(3, "int8"), axis=-1)
                d1 = R.dequantize(q1, R.const(0.25, "float32"), R.const(3, "int8"), axis=-1)
                out = R.add(R.tanh(d1), picture)
                R.output(out)
            return out

    @I.ir_module
    class After:
        @R.function
        def backbone(x: R.Tensor((1, 5, 6, 4), "uint8")) -> R.Tensor((1, 5, 6, 4), "int8"):
            with R.dataflow():
                picture = R.multiply(R.astype(x, "float32"), R.const(0.5, "float32"))
                q0 = R.quantize(picture, R.const(0.5, "float32"), R.const(-128, "int8"), axis=-1)
                d0 = R.dequantize(q0, R.const(0.5, "float32"), R.const(-128, "int8"), axis=-1)
                weight = R.dequantize(
                    R.const(WEIGHT), R.const(WEIGHT_SCALE), R.const(0, "int8"), axis=0
                )
                conv = R.nn.conv2d(
                    d0, weight, data_layout="NHWC", kernel_layout="OIHW", out_layout="NHWC"
                )
                q1 = R.quantize(conv, R.const(0.25, "float32"), R.const(3, "int8"), axis=-1)
                out = q1
                R.output(out)
            return out

        @R.function
        def head(
            q1: R.Tensor((1, 5, 6, 4), "int8"), x: R.Tensor((1, 5, 6, 4), "uint8")
        ) -> R.Tensor((1, 5, 6, 4), "float32"):
            with R.dataflow():
                picture = R.multiply(R.astype(x, "float32"), R.const(0.5, "float32"))
                d1 = R.dequantize(q1, R.const(0.25, "float32"), R.const(3, "int8"), axis=-1)
                total = R.add(R.tanh(d1), picture)
                out = total
                R.output(out)
            return out

        @R.function
        def main(x: R.Tensor((1, 5, 6, 4), "uint8")) -> R.Tensor((1, 5, 6, 4), "float32"):
            cls = After
            with R.dataflow():
                q1 = cls.backbone(x)
                out = cls.head(q1, x)
                R.output(out)
            return out

    assert_structural_equal(PartitionPrecision()(Before), After)


def test_float_input_is_quantized_in_main_for_both_parts() -> None:
    """The head reads the quantized input, too: it gets it from main, not through the backbone."""

    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((1, 5, 6, 4), "float32")) -> R.Tensor((1, 5, 6, 4), "float32"):
            with R.dataflow():
                q0 = R.quantize(x, R.const(0.5, "float32"), R.const(1, "int8"), axis=-1)
                d0 = R.dequantize(q0, R.const(0.5, "float32"), R.const(1, "int8"), axis=-1)
                active = R.nn.relu(d0)
                q1 = R.quantize(active, R.const(0.25, "float32"), R.const(3, "int8"), axis=-1)
                d1 = R.dequantize(q1, R.const(0.25, "float32"), R.const(3, "int8"), axis=-1)
                out = R.add(d1, d0)
                R.output(out)
            return out

    @I.ir_module
    class After:
        @R.function
        def backbone(q0: R.Tensor((1, 5, 6, 4), "int8")) -> R.Tensor((1, 5, 6, 4), "int8"):
            with R.dataflow():
                d0 = R.dequantize(q0, R.const(0.5, "float32"), R.const(1, "int8"), axis=-1)
                active = R.nn.relu(d0)
                q1 = R.quantize(active, R.const(0.25, "float32"), R.const(3, "int8"), axis=-1)
                out = q1
                R.output(out)
            return out

        @R.function
        def head(
            q1: R.Tensor((1, 5, 6, 4), "int8"), q0: R.Tensor((1, 5, 6, 4), "int8")
        ) -> R.Tensor((1, 5, 6, 4), "float32"):
            with R.dataflow():
                d0 = R.dequantize(q0, R.const(0.5, "float32"), R.const(1, "int8"), axis=-1)
                d1 = R.dequantize(q1, R.const(0.25, "float32"), R.const(3, "int8"), axis=-1)
                total = R.add(d1, d0)
                out = total
                R.output(out)
            return out

        @R.function
        def main(x: R.Tensor((1, 5, 6, 4), "float32")) -> R.Tensor((1, 5, 6, 4), "float32"):
            cls = After
            with R.dataflow():
                q0 = R.quantize(x, R.const(0.5, "float32"), R.const(1, "int8"), axis=-1)
                q1 = cls.backbone(q0)
                out = cls.head(q1, q0)
                R.output(out)
            return out

    assert_structural_equal(PartitionPrecision()(Before), After)


def test_boundary_of_two_tensors_is_a_tuple() -> None:
    """The second int8 tensor is read by the head and by the third, which the head reads as well."""

    @I.ir_module
    class Before:
        @R.function
        def main(q0: R.Tensor((1, 5, 6, 4), "int8")) -> R.Tensor((1, 5, 6, 4), "float32"):
            with R.dataflow():
                d0 = R.dequantize(q0, R.const(0.5, "float32"), R.const(1, "int8"), axis=-1)
                active = R.nn.relu(d0)
                q1 = R.quantize(active, R.const(0.25, "float32"), R.const(3, "int8"), axis=-1)
                d1 = R.dequantize(q1, R.const(0.25, "float32"), R.const(3, "int8"), axis=-1)
                gate = R.sigmoid(d1)
                q2 = R.quantize(gate, R.const(0.125, "float32"), R.const(-9, "int8"), axis=-1)
                d2 = R.dequantize(q2, R.const(0.125, "float32"), R.const(-9, "int8"), axis=-1)
                out = R.divide(d1, d2)
                R.output(out)
            return out

    @I.ir_module
    class After:
        @R.function
        def backbone(
            q0: R.Tensor((1, 5, 6, 4), "int8"),
        ) -> R.Tuple(R.Tensor((1, 5, 6, 4), "int8"), R.Tensor((1, 5, 6, 4), "int8")):
            with R.dataflow():
                d0 = R.dequantize(q0, R.const(0.5, "float32"), R.const(1, "int8"), axis=-1)
                active = R.nn.relu(d0)
                q1 = R.quantize(active, R.const(0.25, "float32"), R.const(3, "int8"), axis=-1)
                d1 = R.dequantize(q1, R.const(0.25, "float32"), R.const(3, "int8"), axis=-1)
                gate = R.sigmoid(d1)
                q2 = R.quantize(gate, R.const(0.125, "float32"), R.const(-9, "int8"), axis=-1)
                out = (q1, q2)
                R.output(out)
            return out

        @R.function
        def head(
            q1: R.Tensor((1, 5, 6, 4), "int8"), q2: R.Tensor((1, 5, 6, 4), "int8")
        ) -> R.Tensor((1, 5, 6, 4), "float32"):
            with R.dataflow():
                d1 = R.dequantize(q1, R.const(0.25, "float32"), R.const(3, "int8"), axis=-1)
                d2 = R.dequantize(q2, R.const(0.125, "float32"), R.const(-9, "int8"), axis=-1)
                ratio = R.divide(d1, d2)
                out = ratio
                R.output(out)
            return out

        @R.function
        def main(q0: R.Tensor((1, 5, 6, 4), "int8")) -> R.Tensor((1, 5, 6, 4), "float32"):
            cls = After
            with R.dataflow():
                pair = cls.backbone(q0)
                q1 = pair[0]
                q2 = pair[1]
                out = cls.head(q1, q2)
                R.output(out)
            return out

    assert_structural_equal(PartitionPrecision()(Before), After)


@I.ir_module
class Float:
    @R.function
    def main(x: R.Tensor((1, 5, 6, 4), "float32")) -> R.Tensor((1, 5, 6, 4), "float32"):
        with R.dataflow():
            out = R.tanh(x)
            R.output(out)
        return out


@I.ir_module
class WeightsOnly:
    @R.function
    def main(x: R.Tensor((1, 5, 6, 4), "float32")) -> R.Tensor((1, 5, 6, 4), "float32"):
        with R.dataflow():
            weight = R.dequantize(
                R.const(WEIGHT), R.const(WEIGHT_SCALE), R.const(0, "int8"), axis=0
            )
            out = R.nn.conv2d(
                x, weight, data_layout="NHWC", kernel_layout="OIHW", out_layout="NHWC"
            )
            R.output(out)
        return out


@I.ir_module
class InputOnly:
    @R.function
    def main(x: R.Tensor((1, 5, 6, 4), "float32")) -> R.Tensor((1, 5, 6, 2), "float32"):
        with R.dataflow():
            q0 = R.quantize(x, R.const(0.5, "float32"), R.const(1, "int8"), axis=-1)
            d0 = R.dequantize(q0, R.const(0.5, "float32"), R.const(1, "int8"), axis=-1)
            out = R.nn.conv2d(
                d0,
                R.const(HEAD_WEIGHT),
                data_layout="NHWC",
                kernel_layout="OIHW",
                out_layout="NHWC",
            )
            R.output(out)
        return out


@I.ir_module
class DeadEnd:
    """Only a result that nobody asks for is quantized."""

    @R.function
    def main(x: R.Tensor((1, 5, 6, 4), "float32")) -> R.Tensor((1, 5, 6, 4), "float32"):
        with R.dataflow():
            unread = R.quantize(x, R.const(0.5, "float32"), R.const(1, "int8"), axis=-1)  # noqa: F841
            out = R.tanh(x)
            R.output(out)
        return out


@pytest.mark.parametrize(
    ("module", "why"),
    [
        (Float, "it has no int8 activation; choose another scheme or recipe"),
        (WeightsOnly, "it has no int8 activation; choose another scheme or recipe"),
        (InputOnly, "only its input is quantized, and all that reads it is in float"),
        (DeadEnd, "none of its int8 activations reaches the output"),
    ],
    ids=["float", "weights-only", "input-only", "dead-end"],
)
def test_graph_without_a_boundary_says_why(module, why: str) -> None:
    with pytest.raises(GraphError, match=why) as caught:
        PartitionPrecision()(module)
    assert "nothing of the network is computed in int8" in str(caught.value)
