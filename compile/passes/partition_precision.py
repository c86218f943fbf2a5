"""Partition a network by precision into its int8 backbone and its float-activation head.

The boundary is found in the graph: the backbone is what can be computed in integers all the way
from the network's input, the head is the rest, and the int8 tensors that the head reads are the
boundary. No layer's name is looked at.

``main(x)`` becomes ``head(backbone(x), x)``. Where the input is float, its quantization stays in
``main``; a uint8 feature map goes into the backbone as it is.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

import tvm
from tvm import relax

from compile.graph.constants import definitions_of, variables_of
from compile.graph.match_quantized_op import match_quantized_op
from compile.graph.quantized_graph import NotLowerable, op_name
from compile.graph.rewrite_function import substitute
from compile.support.errors import GraphError

log = logging.getLogger(__name__)


@tvm.transform.module_pass(opt_level=0, name="PartitionPrecision")
class PartitionPrecision:
    """Partition ``main`` into ``backbone`` and ``head``.

    Raises:
        GraphError: there is no precision boundary; the text says why.
    """

    def transform_module(self, mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """IRModule-level transformation."""
        return _Partition(mod["main"]).build(mod)


class _Partition:
    """The variables of ``main`` sorted by where they belong."""

    def __init__(self, main: relax.Function) -> None:
        self.main = main
        self.definitions = definitions_of(main)
        self.entries: list[relax.Var] = []
        self.integer: set[relax.Var] = set()
        for var, value in self.definitions.items():
            if op_name(value) == "quantize":
                self._sort_quantized(var, value)
        self.boundary = self._boundary()

    def build(self, mod: tvm.IRModule) -> tvm.IRModule:
        """``mod`` with ``backbone``, ``head`` and the ``main`` that calls both."""
        sources = [*self.main.params, *self.entries]
        backbone_params = self._reached(self.boundary, sources)
        output = [self.main.body.body]
        head_params = self._reached(output, [*self.boundary, *sources])
        builder = relax.BlockBuilder()
        backbone = self._emit(builder, "backbone", backbone_params, self.boundary)
        head = self._emit(builder, "head", head_params, output)
        with builder.function("main", list(self.main.params)):
            with builder.dataflow():
                values = {param: param for param in self.main.params}
                self._copy(builder, self.entries, values)
                args = [values[param] for param in backbone_params]
                result = builder.emit(relax.Call(backbone, args))
                for index, var in enumerate(self.boundary):
                    single = len(self.boundary) == 1
                    field = result if single else builder.emit(relax.TupleGetItem(result, index))
                    values[var] = field
                args = [values[param] for param in head_params]
                result = builder.emit_output(relax.Call(head, args))
            builder.emit_func_output(result)
        result = builder.get()
        for name, function in mod.functions_items():
            if name.name_hint != "main":
                result[name] = function
        return result

    def _sort_quantized(self, var: relax.Var, value: relax.Call) -> None:
        try:
            operands = [
                operand.tensor for operand in match_quantized_op(var, self.definitions).inputs
            ]
        except NotLowerable as reason:
            log.info("%s is not in the backbone: %s", var.name, reason)
            operands = None
        params = set(self.main.params)
        if operands is not None and all(o in params or o in self.integer for o in operands):
            self.integer.add(var)
        elif not any(self._is_quantized(a) for a in self._ancestors([value.args[0]], params)):
            self.entries.append(var)
            self.integer.add(var)

    def _is_quantized(self, var: relax.Var) -> bool:
        return op_name(self.definitions.get(var)) == "quantize"

    def _boundary(self) -> list[relax.Var]:
        """The integer tensors that the float ops before the output read, in order."""
        output = self.main.body.body
        reached = self._ancestors([output], self.integer)
        boundary = [var for var in self.definitions if var in reached and var in self.integer]
        if not boundary:
            raise GraphError(f"main has no precision boundary: {self._why_none()}")
        # A quantized input that the head reads, too, comes from main and not through the backbone.
        boundary = [var for var in boundary if var not in self.entries]
        if not boundary:
            raise GraphError(
                "main has no int8 backbone: only its input is quantized, every op behind it is "
                "float; quantize the activations of its first layers"
            )
        return boundary

    def _why_none(self) -> str:
        if not any(op_name(value) == "quantize" for value in self.definitions.values()):
            return "it has no quantized activation; choose a scheme with an int8 backbone"
        return "none of its quantized activations reaches the output"

    def _ancestors(self, roots: Iterable[relax.Var], stop: set[relax.Var]) -> set[relax.Var]:
        """Every variable that ``roots`` depend on, themselves included; not beyond ``stop``."""
        reached: set[relax.Var] = set()
        pending = list(roots)
        while pending:
            var = pending.pop()
            if var in reached:
                continue
            reached.add(var)
            if var not in stop and var in self.definitions:
                pending.extend(variables_of(self.definitions[var]))
        return reached

    def _reached(self, roots: list[relax.Var], sources: list[relax.Var]) -> list[relax.Var]:
        reached = self._ancestors(roots, set(sources))
        return [source for source in sources if source in reached]

    def _emit(
        self,
        builder: relax.BlockBuilder,
        name: str,
        params: list[relax.Var],
        results: list[relax.Var],
    ) -> relax.GlobalVar:
        """Add function ``name`` that computes the original ``results`` from ``params``."""
        new_params = [relax.Var(param.name, param.ty) for param in params]
        values = dict(zip(params, new_params, strict=True))
        with builder.function(name, new_params):
            with builder.dataflow():
                self._copy(builder, results, values)
                outputs = [values[var] for var in results]
                output = outputs[0] if len(outputs) == 1 else relax.Tuple(outputs)
                output = builder.emit_output(output)
            builder.emit_func_output(output)
        return builder.get().get_global_var(name)

    def _copy(
        self,
        builder: relax.BlockBuilder,
        results: list[relax.Var],
        values: dict[relax.Var, relax.Var],
    ) -> None:
        """Emit again what ``results`` need beyond the known ``values``, which grow by it."""
        needed = self._ancestors(results, set(values))
        for var, value in self.definitions.items():
            if var in needed and var not in values:
                values[var] = builder.emit(substitute(value, values))
