"""LowerNarrowSigmoids: a sigmoid whose argument is known to be small is a polynomial."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from tvm import relax
from tvm.script import ir as I
from tvm.script import relax as R

from compile.graph.constants import definitions_of, variables_of
from compile.graph.quantized_graph import op_name
from compile.graph.value_bounds import bounds_of
from compile.passes.apply_default_schedule import apply_default_schedule
from compile.passes.legalize_float_ops import LegalizeFloatOps
from compile.passes.lower_narrow_sigmoids import LowerNarrowSigmoids


@I.ir_module
class Output:
    """As MQNet ends."""

    @R.function
    def main(
        image: R.Tensor((1, 16, 16, 3), "uint8"), x: R.Tensor((1, 16, 16, 3), "float32")
    ) -> R.Tensor((1, 16, 16, 3), "float32"):
        with R.dataflow():
            pixels = R.astype(image, "float32")
            ratio = R.divide(pixels, R.const(255.0, "float32"))
            head = R.tanh(x)
            total = R.add(ratio, head)
            out = R.sigmoid(total)
            R.output(out)
        return out


@I.ir_module
class SharedRatio:
    """As MQNet ends in float: the encoder reads the ratio, too."""

    @R.function
    def main(
        image: R.Tensor((1, 16, 16, 3), "uint8"), x: R.Tensor((1, 16, 16, 3), "float32")
    ) -> R.Tensor((1, 16, 16, 3), "float32"):
        with R.dataflow():
            pixels = R.astype(image, "float32")
            ratio = R.divide(pixels, R.const(255.0, "float32"))
            head = R.tanh(R.multiply(x, ratio))
            total = R.add(ratio, head)
            out = R.sigmoid(total)
            R.output(out)
        return out


@I.ir_module
class Unbounded:
    @R.function
    def main(x: R.Tensor((4,), "float32"), y: R.Tensor((4,), "float32")) -> R.Tensor(
        (4,), "float32"
    ):
        with R.dataflow():
            total = R.add(R.tanh(x), y)
            out = R.sigmoid(total)
            R.output(out)
        return out


def test_bounds_follow_from_the_operators() -> None:
    definitions = definitions_of(Output["main"])
    bounds = {var.name: bounds_of(var, definitions) for var in definitions}
    assert bounds == {
        "pixels": (0, 255),
        "ratio": (0, 1),
        "head": (-1, 1),
        "total": (-1, 2),
        "out": (0, 1),
    }


def test_a_narrow_sigmoid_is_a_polynomial(core) -> None:
    after = LegalizeFloatOps()(Output)
    (kernel,) = (f for f in after.functions.values() if not isinstance(f, relax.Function))
    script = kernel.script()
    assert script.count(" / ") == 1 and "reinterpret" not in script, "tanh has the only quotient"

    machine = relax.VirtualMachine(
        relax.build(apply_default_schedule(core)(after), "llvm"), tvm.cpu()
    )
    image = np.arange(768).astype(np.uint8).reshape(1, 16, 16, 3)
    x = np.random.default_rng(0).permutation(np.linspace(-9, 9, 768, dtype=np.float32))
    x = x.reshape(image.shape)
    found = machine["main"](tvm.runtime.tensor(image), tvm.runtime.tensor(x)).numpy()
    exact = 1 / (1 + np.exp(-(image / 255 + np.tanh(x.astype(np.float64)))))
    np.testing.assert_allclose(found, exact, rtol=0, atol=2.5e-7)


@pytest.mark.parametrize("factor", [1.0, 2.0])
def test_the_polynomial_holds_to_its_ends(factor: float, core) -> None:
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((64,), "uint8"))
    with builder.function("main", [x]):
        with builder.dataflow():
            value = builder.emit(relax.op.astype(x, "float32"))
            ratio = builder.emit(relax.op.divide(value, relax.const(-255 / factor)))
            out = builder.emit_output(relax.op.sigmoid(ratio))
        builder.emit_func_output(out)
    after = LegalizeFloatOps()(builder.get())
    machine = relax.VirtualMachine(
        relax.build(apply_default_schedule(core)(after), "llvm"), tvm.cpu()
    )
    data = np.linspace(0, 255, 64).astype(np.uint8)
    found = machine["main"](tvm.runtime.tensor(data)).numpy()
    exact = 1 / (1 + np.exp(data * (factor / 255)))
    np.testing.assert_allclose(found, exact, rtol=0, atol=2e-7)


def test_a_sigmoid_of_anything_stays() -> None:
    tvm.ir.assert_structural_equal(LowerNarrowSigmoids()(Unbounded), Unbounded, map_free_vars=True)


@pytest.mark.parametrize(("module", "read"), [(Output, "astype"), (SharedRatio, "divide")])
def test_a_quotient_is_taken_in_where_no_other_one_reads_it(
    module: tvm.IRModule, read: str
) -> None:
    """Else the dividend would be kept beside it."""
    after = definitions_of(LowerNarrowSigmoids()(module)["main"])
    (pixels,) = (var for var, value in after.items() if op_name(value) == "astype")
    sigmoid = list(after.values())[-1]
    assert op_name(after[variables_of(sigmoid.args[1])[0]]) == read
    assert sum(pixels in variables_of(value) for value in after.values()) == 1
