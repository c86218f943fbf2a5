"""The frame of a pass that rebuilds Relax functions binding by binding.

The functions here are one dataflow block each, which is how the importer makes them; a plain loop
over the bindings then says more than a mutator. Not a pass itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import tvm
from tvm import relax

from compile.graph.close_builder import close_builder
from compile.graph.constants import definitions_of
from compile.graph.layers import Marks, label_calls, marks_of


class FunctionRewriter:
    """Rebuilds one function; a pass derives from it and overrides :meth:`convert`.

    Attributes:
        builder: takes what :meth:`convert` emits and the kernels that it adds.
        definitions: what each variable of the original function is bound to.
    """

    def __init__(self, mod: tvm.IRModule, function: relax.Function) -> None:
        self.builder = relax.BlockBuilder(mod)
        self.function = function
        self.definitions = definitions_of(function)
        self._replacements: dict[relax.Var, relax.Expr] = {}

    def convert(self, var: relax.Var, value: relax.Expr) -> relax.Expr:
        """The expression that takes the place of ``value``, bound to the original ``var``."""
        return self.renewed(value)

    def finish(self, output: relax.Expr) -> relax.Expr:
        """The new function's result for the original ``output``."""
        return self.renewed(output)

    def marks(self, _var: relax.Var, value: relax.Expr) -> Marks:
        """What the expression in the place of ``value``, bound to the original ``_var``,
        computes."""
        return marks_of(value)

    def renewed(self, expr: relax.Expr) -> relax.Expr:
        """The original ``expr`` over the new variables."""
        return substitute(expr, self._replacements)

    def replace(self, var: relax.Var, value: relax.Expr) -> None:
        """Have the original ``var``, bound earlier, stand for ``value`` from here on."""
        self._replacements[var] = value

    def rewrite(self) -> tuple[relax.Function, tvm.IRModule]:
        """The new function, and the module with the kernels that it calls."""
        try:
            return self._rewritten()
        except Exception:
            close_builder(self.builder)
            raise

    def _rewritten(self) -> tuple[relax.Function, tvm.IRModule]:
        function = self.function
        marks: dict[relax.Var, Marks] = {}
        with self.builder.function("rewritten", list(function.params)):
            with self.builder.dataflow():
                for block in function.body.blocks:
                    for binding in block.bindings:
                        value = self.convert(binding.var, binding.value)
                        if not isinstance(value, relax.Var):
                            value = self.builder.emit(value)
                        self._replacements[binding.var] = value
                        marks.setdefault(value, self.marks(binding.var, binding.value))
                output = self.builder.emit_output(self.finish(function.body.body))
            self.builder.emit_func_output(output)
        mod = self.builder.get()
        rewritten = label_calls(mod["rewritten"], marks)
        del mod[mod.get_global_var("rewritten")]
        return rewritten.without_attr("global_symbol"), mod


def substitute(expr: relax.Expr, values: Mapping[relax.Var, relax.Expr]) -> relax.Expr:
    """``expr`` with each variable that has one replaced by its value."""
    if isinstance(expr, relax.Var):
        return values.get(expr, expr)
    if isinstance(expr, relax.Tuple):
        return relax.Tuple([substitute(field, values) for field in expr.fields])
    if isinstance(expr, relax.TupleGetItem):
        return relax.TupleGetItem(substitute(expr.tuple_value, values), expr.index)
    if isinstance(expr, relax.Call):
        args = [substitute(arg, values) for arg in expr.args]
        return relax.Call(expr.op, args, expr.attrs, expr.ty_args, expr.span)
    return expr


def rewrite_functions(
    mod: tvm.IRModule, rewriter: Callable[[tvm.IRModule, relax.Function], FunctionRewriter]
) -> tvm.IRModule:
    """Every Relax function of ``mod`` rebuilt by ``rewriter``, without what has become unused."""
    names = [name for name, f in mod.functions_items() if isinstance(f, relax.Function)]
    for name in names:
        function = mod[name]
        rewritten, mod = rewriter(mod, function).rewrite()
        if function.attrs is not None:
            rewritten = rewritten.with_attrs(dict(function.attrs))
        mod.update_func(name, rewritten)
    cleanup = [relax.transform.CanonicalizeBindings(), relax.transform.DeadCodeElimination()]
    return tvm.transform.Sequential(cleanup)(mod)
