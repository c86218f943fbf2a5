"""ChoosePlanarRows: few channels are rows of planes from an int8 convolution to the last 1x1."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from tvm import relax
from tvm.ir import assert_structural_equal
from tvm.script import ir as I
from tvm.script import relax as R

from compile.graph.quantized_graph import op_name
from compile.kernels.cpu.instructions.arm_smlal import smlal
from compile.kernels.cpu.instructions.x86_pmaddwd import pmaddwd
from compile.passes.choose_planar_rows import ChoosePlanarRows

RANDOM = np.random.default_rng(0)
WEIGHT = RANDOM.integers(-127, 128, (6, 8, 3, 3), dtype=np.int8)
POINTWISE = RANDOM.uniform(-1, 1, (3, 6, 1, 1)).astype("float32")
SCALE = RANDOM.uniform(0.1, 1, 6).astype("float32")
BIAS = RANDOM.uniform(-1, 1, (1, 1, 1, 6)).astype("float32")
GAMMA = RANDOM.uniform(-1, 1, 6).astype("float32")


@I.ir_module
class Before:
    @R.function
    def main(q: R.Tensor((1, 5, 12, 8), "int8")) -> R.Tensor((1, 5, 12, 3), "float32"):
        with R.dataflow():
            x = R.dequantize(q, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
            w = R.dequantize(R.const(WEIGHT), R.const(SCALE), R.const(0, "int8"), axis=0)
            conv = R.nn.conv2d(x, w, padding=[1, 1, 1, 1], data_layout="NHWC", kernel_layout="OIHW")
            biased = R.add(conv, R.const(BIAS))
            norm = R.nn.instance_norm(
                biased, R.const(GAMMA), R.const(-GAMMA), channel_axis=3, axes=[1, 2], epsilon=1e-3
            )
            active = R.nn.relu(norm)
            last = R.nn.conv2d(active, R.const(POINTWISE), data_layout="NHWC", kernel_layout="OIHW")
            out = R.tanh(last)
            R.output(out)
        return out


@I.ir_module
class After:
    @R.function
    def main(q: R.Tensor((1, 5, 12, 8), "int8")) -> R.Tensor((1, 5, 12, 3), "float32"):
        with R.dataflow():
            x = R.dequantize(q, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
            w = R.dequantize(R.const(WEIGHT), R.const(SCALE), R.const(0, "int8"), axis=0)
            conv = R.nn.conv2d(
                x,
                w,
                padding=[1, 1, 1, 1],
                data_layout="NHWC",
                kernel_layout="OIHW",
                out_layout="NHCW",
            )
            biased = R.add(conv, R.const(BIAS.reshape(1, 1, 6, 1)))
            norm = R.nn.instance_norm(
                biased, R.const(GAMMA), R.const(-GAMMA), channel_axis=2, axes=[1, 3], epsilon=1e-3
            )
            active = R.nn.relu(norm)
            last = R.nn.conv2d(
                active,
                R.const(POINTWISE),
                data_layout="NHCW",
                kernel_layout="OIHW",
                out_layout="NHWC",
            )
            out = R.tanh(last)
            R.output(out)
        return out


def layouts(mod: tvm.IRModule) -> set[str]:
    """Of the results of the convolutions."""
    values = [binding.value for binding in mod["main"].body.blocks[0].bindings]
    return {str(value.attrs.out_layout) for value in values if op_name(value) == "nn.conv2d"}


def test_planes_from_the_first_convolution_to_the_last() -> None:
    assert_structural_equal(ChoosePlanarRows(pmaddwd(256))(Before), After)


def network(
    channels_in: int = 8, width: int = 12, weight_low: int = -127, is_read_twice: bool = False
) -> tvm.IRModule:
    """As Before without InstanceNorm, of other sizes; the ReLU may be a result, too."""
    builder = relax.BlockBuilder()
    q = relax.Var("q", relax.TensorType((1, 5, width, channels_in), "int8"))
    weight = RANDOM.integers(-100, 101, (6, channels_in, 3, 3), dtype=np.int8)
    weight[0, 0, 0, 0] = weight_low
    zero = relax.const(0, "int8")
    with builder.function("main", [q]):
        with builder.dataflow():
            x = builder.emit(relax.op.dequantize(q, relax.const(0.5), zero, axis=-1))
            w = relax.op.dequantize(relax.const(weight), relax.const(SCALE), zero, axis=0)
            layouts = {"data_layout": "NHWC", "kernel_layout": "OIHW"}
            conv = relax.op.nn.conv2d(x, builder.emit(w), padding=(1, 1, 1, 1), **layouts)
            active = builder.emit(relax.op.nn.relu(builder.emit(conv)))
            last = relax.op.nn.conv2d(active, relax.const(POINTWISE), **layouts)
            out = builder.emit_output(last)
            results = [out, builder.emit_output(active)] if is_read_twice else out
        builder.emit_func_output(results)
    return builder.get()


def test_sizes_that_vectors_fill_become_planar() -> None:
    assert layouts(ChoosePlanarRows(smlal())(network())) == {"NHCW", "NHWC"}


@pytest.mark.parametrize(
    "sizes",
    [{"width": 13}, {"channels_in": 4}, {"weight_low": -128}],
    ids=["columns fill no vector", "one group of channels", "a weight that smlal cannot take"],
)
def test_what_no_kernel_serves_stays(sizes: dict[str, int]) -> None:
    before = network(**sizes)
    assert_structural_equal(ChoosePlanarRows(smlal())(before), before)


def test_what_others_read_stays() -> None:
    before = network(is_read_twice=True)
    after = ChoosePlanarRows(pmaddwd(256))(before)
    assert layouts(after) == layouts(before) == {"NHWC"}


def test_without_a_dot_product_nothing_changes() -> None:
    assert ChoosePlanarRows(None)(Before).same_as(Before)


def test_multiply_add_by_arguments_goes_on_in_planes() -> None:
    """As in place of an InstanceNorm whose moments are known (compile/passes/split_stages.py); one
    by a feature map does not."""

    @I.ir_module
    class Scaled:
        @R.function
        def main(
            q: R.Tensor((1, 5, 12, 8), "int8"),
            scale: R.Tensor((1, 1, 1, 6), "float32"),
            shift: R.Tensor((1, 1, 1, 6), "float32"),
        ) -> R.Tensor((1, 5, 12, 3), "float32"):
            with R.dataflow():
                x = R.dequantize(q, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                w = R.dequantize(R.const(WEIGHT), R.const(SCALE), R.const(0, "int8"), axis=0)
                conv = R.nn.conv2d(
                    x, w, padding=[1, 1, 1, 1], data_layout="NHWC", kernel_layout="OIHW"
                )
                active = R.nn.relu(R.add(R.multiply(conv, scale), shift))
                out = R.nn.conv2d(
                    active, R.const(POINTWISE), data_layout="NHWC", kernel_layout="OIHW"
                )
                R.output(out)
            return out

    @I.ir_module
    class Planar:
        @R.function
        def main(
            q: R.Tensor((1, 5, 12, 8), "int8"),
            scale: R.Tensor((1, 1, 1, 6), "float32"),
            shift: R.Tensor((1, 1, 1, 6), "float32"),
        ) -> R.Tensor((1, 5, 12, 3), "float32"):
            with R.dataflow():
                x = R.dequantize(q, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                w = R.dequantize(R.const(WEIGHT), R.const(SCALE), R.const(0, "int8"), axis=0)
                conv = R.nn.conv2d(
                    x,
                    w,
                    padding=[1, 1, 1, 1],
                    data_layout="NHWC",
                    kernel_layout="OIHW",
                    out_layout="NHCW",
                )
                scales = R.reshape(scale, R.shape([1, 1, 6, 1]))
                product = R.multiply(conv, scales)
                shifts = R.reshape(shift, R.shape([1, 1, 6, 1]))
                active = R.nn.relu(R.add(product, shifts))
                out = R.nn.conv2d(
                    active,
                    R.const(POINTWISE),
                    data_layout="NHCW",
                    kernel_layout="OIHW",
                    out_layout="NHWC",
                )
                R.output(out)
            return out

    @I.ir_module
    class ByFeatureMap:
        @R.function
        def main(
            q: R.Tensor((1, 5, 12, 8), "int8"), other: R.Tensor((1, 5, 12, 6), "float32")
        ) -> R.Tensor((1, 5, 12, 3), "float32"):
            with R.dataflow():
                x = R.dequantize(q, R.const(0.5, "float32"), R.const(3, "int8"), axis=-1)
                w = R.dequantize(R.const(WEIGHT), R.const(SCALE), R.const(0, "int8"), axis=0)
                conv = R.nn.conv2d(
                    x, w, padding=[1, 1, 1, 1], data_layout="NHWC", kernel_layout="OIHW"
                )
                out = R.nn.conv2d(
                    R.multiply(conv, other),
                    R.const(POINTWISE),
                    data_layout="NHWC",
                    kernel_layout="OIHW",
                )
                R.output(out)
            return out

    assert_structural_equal(ChoosePlanarRows(pmaddwd(256))(Scaled), Planar)
    assert layouts(ChoosePlanarRows(pmaddwd(256))(ByFeatureMap)) == {"NHWC"}
