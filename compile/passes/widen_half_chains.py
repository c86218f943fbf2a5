"""Compute what lies between two elementwise operations of float16 in float32.

Operator fusion makes one kernel of such a chain, whose values in between are in registers: they
need not end at 65504, nor be rounded. So x * x / 1000 and x / sqrt(mean(x * x)) are right for an x
of 1000. What is stored for another kernel is float16 as before, and so is what several read.
"""

from __future__ import annotations

from collections import Counter

import tvm
from tvm import relax

from compile.graph.constants import constant_value, variables_of
from compile.graph.quantized_graph import op_name
from compile.graph.rewrite_function import FunctionRewriter, rewrite_functions

_NARROW, _WIDE = "float16", "float32"
_ELEMENTWISE = {
    *("abs", "add", "ceil", "clip", "cos", "divide", "exp", "floor", "log", "maximum", "minimum"),
    *("multiply", "negative", "power", "round", "rsqrt", "sigmoid", "sin", "sqrt", "square"),
    *("subtract", "tanh", "nn.gelu", "nn.gelu_tanh", "nn.leakyrelu", "nn.relu", "nn.selu"),
    "nn.silu",
}
#: They sum up float32 in any case (:mod:`compile.kernels.common.float_sums`).
_SUMS = {"mean", "sum"}


@tvm.transform.module_pass(opt_level=0, name="WidenHalfChains")
class WidenHalfChains:
    """Have every float16 tensor that one elementwise operation or mean makes and one other reads
    alone in float32, in every Relax function."""

    def transform_module(self, mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """IRModule-level transformation."""
        return rewrite_functions(mod, _Widening)


class _Widening(FunctionRewriter):
    def __init__(self, mod: tvm.IRModule, function: relax.Function) -> None:
        super().__init__(mod, function)
        values = [*self.definitions.values(), function.body.body]
        self._readers = Counter(var for value in values for var in set(variables_of(value)))
        self._read_by_chains = {
            var
            for value in self.definitions.values()
            if _is_link(value) or _widens(value)
            for var in variables_of(value)
            if self._readers[var] == 1 and _is_link(self.definitions.get(var))
        }
        self._wide: dict[relax.Var, relax.Expr] = {}

    def convert(self, var: relax.Var, value: relax.Expr) -> relax.Expr:
        read = [one for one in variables_of(value) if one in self._read_by_chains]
        if _widens(value) and read:
            return self._wide[value.args[0]]
        if not _is_link(value) or not (read or var in self._read_by_chains):
            return self.renewed(value)
        # One cast, also of what is read twice.
        wide = {arg: self._widened(arg) for arg in value.args}
        args = [wide[arg] for arg in value.args]
        self._wide[var] = self.builder.emit(relax.Call(value.op, args, value.attrs, value.ty_args))
        return relax.op.astype(self._wide[var], _NARROW)

    def _widened(self, arg: relax.Expr) -> relax.Expr:
        if arg in self._read_by_chains:
            return self._wide[arg]
        if not isinstance(arg.ty, relax.TensorType):
            return arg  # A bound of clip.
        known = constant_value(arg, self.definitions)
        if known is not None:
            return relax.const(known.astype(_WIDE))
        return self.builder.emit(relax.op.astype(self.renewed(arg), _WIDE))


def _is_link(value: relax.Expr | None) -> bool:
    name = op_name(value)
    return (
        (name in _ELEMENTWISE or name in _SUMS)
        and value is not None
        and str(value.ty.dtype) == _NARROW
    )


def _widens(value: relax.Expr) -> bool:
    return op_name(value) == "astype" and str(value.ty.dtype) == _WIDE
