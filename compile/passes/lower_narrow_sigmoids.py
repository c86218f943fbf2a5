"""Replace sigmoids whose argument lies in [-2, 2] by a polynomial: no exponential, no division.

An output such as sigmoid(image / 255 + tanh(x)) is one: its argument lies in [-1, 2].
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import reduce

import tvm
from tvm import relax, te, tirx

from compile.graph.constants import variables_of
from compile.graph.quantized_graph import op_name
from compile.graph.rewrite_function import FunctionRewriter, rewrite_functions
from compile.graph.shapes import tensor_shape
from compile.graph.value_bounds import bounds_of, scalar_value

_LARGEST_ARGUMENT = 2.0
#: Of x, x^3, x^5, ...: the best polynomial for sigmoid(x) - 1/2 on [-2, 2], by Remez' exchange; it
#: is off by 1e-8, and in float32 by 8e-8.
_COEFFICIENTS = (
    0.24999992549419403,
    -0.02083258144557476,
    0.002081184880807996,
    -0.00020806965767405927,
    1.9505156160448678e-05,
    -1.4529488225889509e-06,
    5.882394304990157e-08,
)


@tvm.transform.module_pass(opt_level=0, name="LowerNarrowSigmoids")
class LowerNarrowSigmoids:
    """Replace sigmoid, and the quotients by constants in the sum that it is of, in every Relax
    function, where the bounds of its argument allow it."""

    def transform_module(self, mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """IRModule-level transformation."""
        return rewrite_functions(mod, _SigmoidLowering)


class _SigmoidLowering(FunctionRewriter):
    def __init__(self, mod: tvm.IRModule, function: relax.Function) -> None:
        super().__init__(mod, function)
        values = [*self.definitions.values(), function.body.body]
        self._readers = Counter(var for value in values for var in set(variables_of(value)))

    def convert(self, var: relax.Var, value: relax.Expr) -> relax.Expr:
        if op_name(value) != "sigmoid":
            return self.renewed(value)
        bounds = bounds_of(value.args[0], self.definitions)
        if bounds is None or max(-bounds[0], bounds[1]) > _LARGEST_ARGUMENT:
            return self.renewed(value)
        terms, factors = zip(*self._terms(value.args[0]), strict=True)
        kernel = _sigmoid_of_sum(factors, str(var.ty.dtype))
        return self.builder.call_te(kernel, *map(self.renewed, terms), primfunc_name_hint="sigmoid")

    def _terms(self, argument: relax.Expr) -> list[tuple[relax.Expr, float]]:
        """What ``argument`` is the sum of: (tensor of its shape, factor) each."""
        value = self.definitions.get(argument)
        if value is None or op_name(value) != "add":
            return [(argument, 1.0)]
        if not all(_same_shape(arg, argument) for arg in value.args):
            return [(argument, 1.0)]
        return [self._term(arg) for arg in value.args]

    def _term(self, summand: relax.Expr) -> tuple[relax.Expr, float]:
        value = self.definitions.get(summand)
        if value is None or op_name(value) != "divide" or self._readers[summand] > 1:
            # What another one reads is computed all the same.
            return summand, 1.0
        if _same_shape(value.args[0], summand):
            divisor = scalar_value(value.args[1], self.definitions)
            if divisor is not None:
                return value.args[0], 1 / divisor
        return summand, 1.0


def _same_shape(first: relax.Expr, second: relax.Expr) -> bool:
    return tensor_shape(first) == tensor_shape(second)


def _sigmoid_of_sum(factors: tuple[float, ...], dtype: str) -> Callable[..., te.Tensor]:
    """sigmoid(sum of factor * tensor), in float32 whatever the ``dtype``."""

    def float32(value: float) -> tirx.Expr:
        return tirx.const(value, "float32")

    def compute(*terms: te.Tensor) -> te.Tensor:
        def at(*index: tirx.Expr) -> tirx.Expr:
            values = [
                term(*index).astype("float32") * float32(factor)
                for term, factor in zip(terms, factors, strict=True)
            ]
            x = reduce(lambda total, value: total + value, values)
            square = x * x
            p = float32(_COEFFICIENTS[-1])
            for coefficient in _COEFFICIENTS[-2::-1]:
                p = p * square + float32(coefficient)
            return (p * x + float32(0.5)).astype(dtype)

        return te.compute(terms[0].shape, at, name="sigmoid")

    return compute
