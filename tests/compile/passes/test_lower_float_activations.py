"""LowerFloatActivations: mean, upsampling and concat in float call the kernels of the backbone."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from backends import cpu_backend
from tvm import relax
from tvm.ir import assert_structural_equal
from tvm.script import ir as I
from tvm.script import relax as R

from compile.kernels.common import border
from compile.kernels.common.bilinear import create_bilinear
from compile.kernels.common.channel_maximum import create_channel_maximum
from compile.kernels.common.channel_mean import create_channel_mean
from compile.kernels.common.window import Window
from compile.kernels.cpu.plain.max_pool import create_max_pool
from compile.kernels.cpu.plain.mean import create_float_mean
from compile.kernels.cpu.plain.move import create_bordered, create_concat, create_upsample
from compile.passes.lower_float_activations import LowerFloatActivations


@I.ir_module
class Mean:
    @R.function
    def main(x: R.Tensor((1, 2, 3, 4), "float32")) -> R.Tensor((1, 1, 1, 4), "float32"):
        with R.dataflow():
            out = R.nn.adaptive_avg_pool2d(x, [1, 1], layout="NHWC")
            R.output(out)
        return out


@I.ir_module
class Upsample:
    @R.function
    def main(x: R.Tensor((1, 2, 3, 4), "float32")) -> R.Tensor((1, 6, 9, 4), "float32"):
        with R.dataflow():
            out = R.image.resize2d(x, R.shape([6, 9]), layout="NHWC", method="nearest_neighbor")
            R.output(out)
        return out


@I.ir_module
class Concat:
    @R.function
    def main(
        x: R.Tensor((1, 2, 3, 4), "float32"), y: R.Tensor((1, 2, 3, 5), "float32")
    ) -> R.Tensor((1, 2, 3, 9), "float32"):
        with R.dataflow():
            out = R.concat((x, y), axis=3)
            R.output(out)
        return out


@I.ir_module
class MaxPool:
    @R.function
    def main(x: R.Tensor((1, 5, 6, 4), "float32")) -> R.Tensor((1, 3, 3, 4), "float32"):
        with R.dataflow():
            out = R.nn.max_pool2d(x, [3, 3], [2, 2], [1, 1, 1, 1], layout="NHWC")
            R.output(out)
        return out


@I.ir_module
class Border:
    @R.function
    def main(x: R.Tensor((1, 5, 6, 4), "float32")) -> R.Tensor((1, 8, 10, 4), "float32"):
        with R.dataflow():
            out = R.nn.pad(x, [0, 0, 1, 2, 3, 1, 0, 0], "reflect")
            R.output(out)
        return out


@I.ir_module
class Linear:
    @R.function
    def main(x: R.Tensor((1, 2, 3, 4), "float32")) -> R.Tensor((1, 6, 5, 4), "float32"):
        with R.dataflow():
            out = R.image.resize2d(x, R.shape([6, 5]), layout="NHWC", method="linear")
            R.output(out)
        return out


@I.ir_module
class Crop:
    @R.function
    def main(x: R.Tensor((1, 5, 6, 4), "float32")) -> R.Tensor((1, 3, 4, 4), "float32"):
        with R.dataflow():
            out = R.nn.pad(x, [0, 0, -1, -1, -1, -1, 0, 0])
            R.output(out)
        return out


@I.ir_module
class ChannelMaximum:
    @R.function
    def main(x: R.Tensor((1, 5, 6, 4), "float32")) -> R.Tensor((1, 5, 6, 1), "float32"):
        with R.dataflow():
            out = R.max(x, axis=[3], keepdims=True)
            R.output(out)
        return out


def test_average_pooling_takes_what_it_divides_by() -> None:
    @I.ir_module
    class Before:
        @R.function
        def main(x: R.Tensor((1, 2, 3, 4), "float32")) -> R.Tensor((1, 2, 3, 4), "float32"):
            with R.dataflow():
                out = R.nn.avg_pool2d(
                    x, [2, 2], [1, 1], [1, 1, 0, 0], count_include_pad=False, layout="NHWC"
                )
                R.output(out)
            return out

    (binding,) = LowerFloatActivations(cpu_backend())(Before)["main"].body.blocks[0].bindings
    _, multiplier = binding.value.args[1].fields
    np.testing.assert_array_equal(multiplier.value.numpy(), np.float32([1, 0.5, 1 / 3, 0.25]))


@I.ir_module
class ChannelMean:
    @R.function
    def main(x: R.Tensor((1, 5, 6, 4), "float32")) -> R.Tensor((1, 5, 6, 1), "float32"):
        with R.dataflow():
            out = R.mean(x, axis=[3], keepdims=True)
            R.output(out)
        return out


@I.ir_module
class PixelMean:
    @R.function
    def main(x: R.Tensor((1, 5, 6, 4), "float32")) -> R.Tensor((1, 1, 1, 4), "float32"):
        with R.dataflow():
            out = R.mean(x, axis=[1, 2], keepdims=True)
            R.output(out)
        return out


@pytest.mark.parametrize(
    ("before", "kernel", "name", "out_shape"),
    [
        (Mean, create_float_mean((1, 2, 3, 4), "float32"), "adaptive_avg_pool2d", (1, 1, 1, 4)),
        (Upsample, create_upsample((1, 2, 3, 4), 3, "float32"), "resize2d", (1, 6, 9, 4)),
        (Concat, create_concat(2, 3, (4, 5), "float32"), "concat", (1, 2, 3, 9)),
        (
            MaxPool,
            create_max_pool((1, 5, 6, 4), Window((3, 3), (2, 2), (1, 1, 1, 1)), "float32"),
            "max_pool2d",
            (1, 3, 3, 4),
        ),
        (
            Border,
            create_bordered((1, 5, 6, 4), border.Border((1, 3, 2, 1), "reflect"), "float32"),
            "pad",
            (1, 8, 10, 4),
        ),
        (
            Crop,
            create_bordered((1, 5, 6, 4), border.Border((-1,) * 4, "replicate"), "float32"),
            "pad",
            (1, 3, 4, 4),
        ),
        (
            ChannelMaximum,
            create_channel_maximum("elementwise", (1, 5, 6, 4), "float32"),
            "max",
            (1, 5, 6, 1),
        ),
        (
            ChannelMean,
            create_channel_mean("elementwise", (1, 5, 6, 4), "float32"),
            "mean",
            (1, 5, 6, 1),
        ),
        (PixelMean, create_float_mean((1, 5, 6, 4), "float32"), "mean", (1, 1, 1, 4)),
        (
            Linear,
            create_bilinear("elementwise", (1, 2, 3, 4), (6, 5), "float32"),
            "resize2d",
            (1, 6, 5, 4),
        ),
    ],
    ids=[
        *("mean", "upsample", "concat", "max pool", "border", "crop"),
        *("channel maximum", "channel mean", "mean of pixels", "bilinear"),
    ],
)
def test_op_becomes_a_kernel_call(before, kernel, name: str, out_shape) -> None:
    builder = relax.BlockBuilder()
    params = [relax.Var(param.name, param.ty) for param in before["main"].params]
    with builder.function("main", params):
        with builder.dataflow():
            ty = relax.TensorType(out_shape, "float32")
            call = relax.op.call_tir(builder.add_func(kernel, name), params, ty)
            result = builder.emit_output(call)
        builder.emit_func_output(result)
    assert_structural_equal(LowerFloatActivations(cpu_backend())(before), builder.get())


@I.ir_module
class Pool:
    @R.function
    def main(x: R.Tensor((1, 4, 6, 4), "float32")) -> R.Tensor((1, 2, 2, 4), "float32"):
        with R.dataflow():
            out = R.nn.adaptive_avg_pool2d(x, [2, 2], layout="NHWC")
            R.output(out)
        return out


@I.ir_module
class Rows:
    @R.function
    def main(x: R.Tensor((1, 2, 3, 4), "float32")) -> R.Tensor((1, 4, 3, 4), "float32"):
        with R.dataflow():
            out = R.concat((x, x), axis=1)
            R.output(out)
        return out


@I.ir_module
class CeiledPool:
    @R.function
    def main(x: R.Tensor((1, 5, 6, 4), "float32")) -> R.Tensor((1, 3, 3, 4), "float32"):
        with R.dataflow():
            out = R.nn.max_pool2d(x, [2, 2], [2, 2], ceil_mode=True, layout="NHWC")
            R.output(out)
        return out


@I.ir_module
class ChannelPad:
    @R.function
    def main(x: R.Tensor((1, 5, 6, 4), "float32")) -> R.Tensor((1, 5, 6, 5), "float32"):
        with R.dataflow():
            out = R.nn.pad(x, [0, 0, 0, 0, 0, 0, 1, 0], "constant")
            R.output(out)
        return out


@I.ir_module
class OtherDimensions:
    """A mean and a concatenation of three and five dimensions, and an operator of two results."""

    @R.function
    def main(x: R.Tensor((1, 4, 6), "float32"), y: R.Tensor((1, 2, 2, 3, 3), "float32")):
        with R.dataflow():
            mean = R.mean(x, [2], keepdims=True)
            halves = R.split(mean, 2, 1)
            out = (halves, R.concat((y, y), 3))
            R.output(out)
        return out


@pytest.mark.parametrize("before", [Pool, Rows, CeiledPool, ChannelPad, OtherDimensions])
def test_other_forms_are_left_to_legalization(before: tvm.IRModule) -> None:
    assert_structural_equal(LowerFloatActivations(cpu_backend())(before), before)
