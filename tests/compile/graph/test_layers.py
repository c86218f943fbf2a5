"""The layers that a call computes: read, written, and kept by passes that make new calls."""

from __future__ import annotations

import tvm
from tvm import relax, tirx
from tvm.script import ir as I
from tvm.script import relax as R

from compile.graph.layers import (
    Layers,
    Mark,
    keep_layers,
    label_calls,
    layers_of,
    marks_of,
    with_marks,
)
from compile.graph.rewrite_function import FunctionRewriter, rewrite_functions


@I.ir_module
class Before:
    @R.function
    def main(x: R.Tensor((2, 3), "float32")) -> R.Tensor((2, 3), "float32"):
        with R.dataflow():
            a = R.exp(x)
            b = R.add(a, x)
            c = R.sum(b, axis=[1], keepdims=True)
            d = R.multiply(c, x)
            out = R.negative(d)
            R.output(out)
        return out


LABELS = {"a": ("net.exp",), "b": ("net.add",), "c": (), "d": ("net.mul",), "out": ("net.neg",)}


def labelled() -> tvm.IRModule:
    mod = Before.clone()
    variables = [b.var for block in mod["main"].body.blocks for b in block.bindings]
    layers = {var: tuple(map(Mark, LABELS[var.name])) for var in variables}
    mod.update_func(mod.get_global_var("main"), label_calls(mod["main"], layers))
    return mod


def calls(mod: tvm.IRModule) -> list[tuple[str, Layers]]:
    """What ``main`` calls, and the layers of it; kernels by name."""
    bindings = [b for block in mod["main"].body.blocks for b in block.bindings]
    values = [b.value for b in bindings if isinstance(b.value, relax.Call)]
    return [(getattr(v.op, "name", None) or v.op.name_hint, layers_of(v)) for v in values]


def test_a_call_without_layers_has_none():
    x = relax.Var("x", relax.TensorType((2, 3), "float32"))
    assert layers_of(relax.op.exp(x)) == layers_of(x) == ()


def test_each_layer_counts_once():
    x = relax.Var("x", relax.TensorType((2, 3), "float32"))
    marks = Mark("net.norm", 3), Mark("net.conv", 4), Mark("net.norm", 5), Mark("", 6)
    call = with_marks(relax.op.exp(x), [*marks, marks[0]])
    assert layers_of(call) == ("net.norm", "net.conv")
    assert marks_of(call) == marks
    assert call.op.name == "relax.exp"


def test_what_a_variable_is_computed_by_has_its_layers():
    """Also the calls between it and the variable before; what has layers keeps them."""
    function = Before["main"]
    by_name = {b.var.name: b.var for block in function.body.blocks for b in block.bindings}
    function = label_calls(function, {by_name[n]: (Mark(f"net.{n}"),) for n in "cd"})
    others = {by_name["d"]: (Mark("net.other"),), by_name["out"]: (Mark("net.out"),)}
    function = label_calls(function, others)
    layers = [layer for _, layer in calls(tvm.IRModule({"main": function}))]
    assert layers == [("net.c",), ("net.c",), ("net.c",), ("net.d",), ("net.out",)]


def test_labels_change_nothing_else():
    tvm.ir.assert_structural_equal(labelled(), Before)


def test_passes_that_make_new_calls():
    """Legalized, fused and made kernels: a fused kernel has the layers of all its calls."""
    mod = keep_layers(relax.transform.LegalizeOps())(labelled())
    assert [layers for _, layers in calls(mod)] == list(LABELS.values())
    assert all(isinstance(mod[name], tirx.PrimFunc | relax.Function) for name in mod.functions)
    mod = relax.transform.FuseOps()(relax.transform.AnnotateTIROpPattern()(mod))
    mod = keep_layers(relax.transform.FuseTIR())(mod)
    assert [layers for _, layers in calls(mod)] == [("net.exp", "net.add"), ("net.mul", "net.neg")]
    mod = relax.transform.ToNonDataflow()(mod)
    mod = keep_layers(relax.transform.CallTIRRewrite())(mod)
    kernels = [(name, layers) for name, layers in calls(mod) if not name.startswith("relax.")]
    assert [layers for _, layers in kernels] == [("net.exp", "net.add"), ("net.mul", "net.neg")]


class _Squares(FunctionRewriter):
    """Replaces e^x by two calls and drops the negation."""

    def convert(self, var: relax.Var, value: relax.Expr) -> relax.Expr:
        if value.op.name == "relax.exp":
            x = self.renewed(value.args[0])
            return relax.op.multiply(self.builder.emit(relax.op.abs(x)), x)
        if value.op.name == "relax.negative":
            return self.renewed(value.args[0])
        return self.renewed(value)


def test_rewritten_functions():
    mod = rewrite_functions(labelled(), _Squares)
    assert calls(mod) == [
        *(
            ("relax.abs", ("net.exp",)),
            ("relax.multiply", ("net.exp",)),
            ("relax.add", ("net.add",)),
        ),
        *(("relax.sum", ()), ("relax.multiply", ("net.mul",))),
    ]
