"""SplitStages: where a network is split, what is kept between stages, and what cannot be split."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from tvm import relax
from tvm.ir import assert_structural_equal
from tvm.script import ir as I
from tvm.script import relax as R

from compile.build_stages import describe_stages
from compile.graph.plan_stages import StagePlan
from compile.passes.split_stages import SplitStages
from compile.support.errors import GraphError

RANDOM = np.random.default_rng(0)
DOWN = RANDOM.uniform(-1, 1, (4, 3, 3, 3)).astype("float32")
LAST = RANDOM.uniform(-1, 1, (3, 4, 3, 3)).astype("float32")
NARROW = RANDOM.uniform(-1, 1, (2, 3, 3, 3)).astype("float32")
WIDE = RANDOM.uniform(-1, 1, (8, 2, 1, 1)).astype("float32")
GAMMA = RANDOM.uniform(-1, 1, 3).astype("float32")


def test_a_mean_and_a_norm() -> None:
    """What is a quarter of the picture's size is kept; what has its size is computed again."""

    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((1, 8, 12, 3), "float32")) -> R.Tensor((1, 8, 12, 3), "float32"):
            with R.dataflow():
                low = R.nn.conv2d(
                    x, R.const(DOWN), strides=[2, 2], padding=[1, 1, 1, 1], data_layout="NHWC"
                )
                mean = R.nn.adaptive_avg_pool2d(low, [1, 1], layout="NHWC")
                gate = R.sigmoid(mean)
                scaled = R.multiply(low, gate)
                high = R.image.resize2d(
                    scaled,
                    R.shape([8, 12]),
                    layout="NHWC",
                    method="nearest_neighbor",
                    coordinate_transformation_mode="asymmetric",
                )
                conv = R.nn.conv2d(high, R.const(LAST), padding=[1, 1, 1, 1], data_layout="NHWC")
                norm = R.nn.instance_norm(
                    conv, R.const(GAMMA), R.const(-GAMMA), channel_axis=3, axes=[1, 2]
                )
                out = R.add(R.nn.relu(norm), x)
                R.output(out)
            return out

    @I.ir_module
    class After:
        @R.function
        def stage_0(x: R.Tensor((1, 8, 12, 3), "float32")) -> R.Tensor((1, 4, 6, 4), "float32"):
            with R.dataflow():
                low = R.nn.conv2d(
                    x, R.const(DOWN), strides=[2, 2], padding=[1, 1, 1, 1], data_layout="NHWC"
                )
                out = low
                R.output(out)
            return out

        @R.function
        def stage_1(
            low: R.Tensor((1, 4, 6, 4), "float32"), mean: R.Tensor((1, 1, 1, 4), "float32")
        ) -> R.Tuple(R.Tensor((1, 4, 6, 4), "float32"), R.Tensor((1, 8, 12, 3), "float32")):
            with R.dataflow():
                gate = R.sigmoid(mean)
                scaled = R.multiply(low, gate)
                high = R.image.resize2d(
                    scaled,
                    R.shape([8, 12]),
                    layout="NHWC",
                    method="nearest_neighbor",
                    coordinate_transformation_mode="asymmetric",
                )
                conv = R.nn.conv2d(high, R.const(LAST), padding=[1, 1, 1, 1], data_layout="NHWC")
                out = (scaled, conv)
                R.output(out)
            return out

        @R.function
        def stage_2(
            x: R.Tensor((1, 8, 12, 3), "float32"),
            scaled: R.Tensor((1, 4, 6, 4), "float32"),
            scale: R.Tensor((1, 1, 1, 3), "float32"),
            shift: R.Tensor((1, 1, 1, 3), "float32"),
        ) -> R.Tensor((1, 8, 12, 3), "float32"):
            with R.dataflow():
                high = R.image.resize2d(
                    scaled,
                    R.shape([8, 12]),
                    layout="NHWC",
                    method="nearest_neighbor",
                    coordinate_transformation_mode="asymmetric",
                )
                conv = R.nn.conv2d(high, R.const(LAST), padding=[1, 1, 1, 1], data_layout="NHWC")
                norm = R.add(R.multiply(conv, scale), shift)
                total = R.add(R.nn.relu(norm), x)
                out = total
                R.output(out)
            return out

    assert_structural_equal(SplitStages()(Before), After)


def test_integer_mean_is_an_argument_and_narrow_tensors_are_kept() -> None:
    """An int8 mean goes in as it is quantized. What a 1x1 convolution makes of a narrow tensor is
    made again of that; a mean that nobody quantizes is float."""

    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((1, 8, 8, 3), "float32")) -> R.Tensor((1, 8, 8, 8), "float32"):
            with R.dataflow():
                narrow = R.nn.conv2d(
                    x, R.const(NARROW), strides=[2, 2], padding=[1, 1, 1, 1], data_layout="NHWC"
                )
                q = R.quantize(narrow, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                d = R.dequantize(q, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                wide = R.nn.conv2d(d, R.const(WIDE), data_layout="NHWC")
                mean = R.mean(d, axis=[1, 2], keepdims=True)
                m = R.quantize(mean, R.const(0.25, "float32"), R.const(1, "int8"), axis=-1)
                gate = R.dequantize(m, R.const(0.25, "float32"), R.const(1, "int8"), axis=-1)
                total = R.add(R.mean(wide, axis=[1, 2], keepdims=True), R.sum(gate))
                scaled = R.multiply(wide, total)
                out = R.image.resize2d(
                    scaled,
                    R.shape([8, 8]),
                    layout="NHWC",
                    method="nearest_neighbor",
                    coordinate_transformation_mode="asymmetric",
                )
                R.output(out)
            return out

    @I.ir_module
    class After:
        @R.function
        def stage_0(
            x: R.Tensor((1, 8, 8, 3), "float32"),
        ) -> R.Tuple(R.Tensor((1, 4, 4, 2), "int8"), R.Tensor((1, 4, 4, 8), "float32")):
            with R.dataflow():
                narrow = R.nn.conv2d(
                    x, R.const(NARROW), strides=[2, 2], padding=[1, 1, 1, 1], data_layout="NHWC"
                )
                q = R.quantize(narrow, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                d = R.dequantize(q, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                wide = R.nn.conv2d(d, R.const(WIDE), data_layout="NHWC")
                out = (q, wide)
                R.output(out)
            return out

        @R.function
        def stage_1(
            q: R.Tensor((1, 4, 4, 2), "int8"),
            m: R.Tensor((1, 1, 1, 2), "int8"),
            mean: R.Tensor((1, 1, 1, 8), "float32"),
        ) -> R.Tensor((1, 8, 8, 8), "float32"):
            with R.dataflow():
                d = R.dequantize(q, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                wide = R.nn.conv2d(d, R.const(WIDE), data_layout="NHWC")
                gate = R.dequantize(m, R.const(0.25, "float32"), R.const(1, "int8"), axis=-1)
                total = R.add(mean, R.sum(gate))
                scaled = R.multiply(wide, total)
                high = R.image.resize2d(
                    scaled,
                    R.shape([8, 8]),
                    layout="NHWC",
                    method="nearest_neighbor",
                    coordinate_transformation_mode="asymmetric",
                )
                out = high
                R.output(out)
            return out

    assert_structural_equal(SplitStages()(Before), After)


def chain(convolutions: int) -> tvm.IRModule:
    """Convolutions of 3 channels, of a sixteenth of the picture's rows and columns."""
    builder, x = relax.BlockBuilder(), relax.Var("x", relax.TensorType((1, 64, 64, 3), "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            y = builder.emit(relax.op.nn.avg_pool2d(x, [16, 16], [16, 16], layout="NHWC"))
            for _ in range(convolutions):
                weight = relax.const(np.zeros((3, 3, 3, 3), "float32"))
                y = builder.emit(relax.op.nn.conv2d(y, weight, padding=1, data_layout="NHWC"))
            y = builder.emit(
                relax.op.image.resize2d(
                    y,
                    (64, 64),
                    layout="NHWC",
                    method="nearest_neighbor",
                    coordinate_transformation_mode="asymmetric",
                )
            )
            output = builder.emit_output(y)
        builder.emit_func_output(output)
    return builder.get()


@pytest.mark.parametrize(("convolutions", "halos"), [(1, [16]), (3, [48]), (9, [64, 64, 16])])
def test_a_stage_ends_where_pixels_depend_on_many(convolutions: int, halos: list[int]) -> None:
    plan = StagePlan(chain(convolutions)["main"])
    assert [stage.halo for stage in plan.stages] == halos
    assert len(SplitStages()(chain(convolutions)).get_global_vars()) == len(halos)


def test_tiles_that_are_too_small_are_refused() -> None:
    with pytest.raises(GraphError, match="64 pixels around each .* --size of at least 144x144"):
        describe_stages(StagePlan(chain(9)["main"]))


def test_what_depends_on_all_pixels_otherwise_is_refused() -> None:
    @I.ir_module
    class Attention:
        @R.function
        def main(x: R.Tensor((1, 8, 8, 3), "float32")) -> R.Tensor((1, 8, 8, 3), "float32"):
            with R.dataflow():
                rows = R.reshape(x, R.shape([1, 64, 3]))
                out = R.reshape(R.matmul(rows, R.const(LAST[:, :3, 0, 0])), R.shape([1, 8, 8, 3]))
                R.output(out)
            return out

    @I.ir_module
    class Flipped:
        @R.function
        def main(x: R.Tensor((1, 8, 8, 3), "float32")) -> R.Tensor((1, 8, 8, 3), "float32"):
            with R.dataflow():
                out = R.flip(x, axis=1)
                R.output(out)
            return out

    @I.ir_module
    class Odd:
        @R.function
        def main(x: R.Tensor((1, 8, 8, 3), "float32")) -> R.Tensor((1, 8, 8, 3), "float32"):
            with R.dataflow():
                pooled = R.nn.max_pool2d(x, [2, 2], layout="NHWC")
                out = R.image.resize2d(pooled, R.shape([8, 8]), layout="NHWC", method="linear")
                R.output(out)
            return out

    for network, reason in (
        (Attention, "no feature map"),
        (Flipped, "how far flip looks"),
        (Odd, "7x7 pixels of 8x8"),
    ):
        with pytest.raises(GraphError, match=reason):
            SplitStages()(network)
