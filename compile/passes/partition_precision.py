"""Partition a network by precision into regions that are computed in integers, and the float
operations between and behind them.

The boundaries are found in the graph: a backbone is what can be computed in integers all the way
from the network's input, a head what is computed in float from that. What a head quantizes again
and integers go on from opens the next region, with a backbone and a head of its own. The int8
tensors that a head reads are the boundary. No layer's name is looked at.

``main(x)`` becomes ``head(backbone(x), x)``, and with a second region
``head_1(backbone_1(head(backbone(x), x)))``. Where the input is float, its quantization stays in
``main``; a uint8 feature map goes into the backbone as it is. What a later part reads of an earlier
one comes by ``main``, int8 where it can.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import tvm
from tvm import relax

from compile.graph.constants import definitions_of, variables_of
from compile.graph.match_quantized_op import match_quantized_op
from compile.graph.parts import BACKBONE, HEAD, MAIN, region_name
from compile.graph.quantized_graph import NotLowerable, op_name
from compile.graph.rewrite_function import substitute
from compile.support.errors import GraphError

log = logging.getLogger(__name__)

#: The region of what is computed in float before anything is computed in integers.
_BEFORE = -1

#: What costs less to compute again than to keep.
_SIMPLE = frozenset(
    {
        *("add", "subtract", "multiply", "divide", "maximum", "minimum"),
        *("abs", "astype", "clip", "floor", "negative", "nn.leakyrelu", "nn.relu"),
        *("permute_dims", "reshape", "squeeze", "expand_dims"),
    }
)


@tvm.transform.module_pass(opt_level=0, name="PartitionPrecision")
class PartitionPrecision:
    """Partition ``main`` into a backbone and a head for each region.

    Args:
        one_head: leave all that is behind the first backbone in one head.

    Raises:
        GraphError: there is no precision boundary; the text says why.
    """

    def __init__(self, one_head: bool = False) -> None:
        self.one_head = one_head

    def transform_module(self, mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tvm.IRModule:
        """IRModule-level transformation."""
        return _Partition(_Regions(mod[MAIN], self.one_head)).build(mod)


@dataclass(frozen=True)
class _Part:
    """The backbone or the head of a region, which are computed in this order."""

    region: int
    is_head: bool

    @property
    def name(self) -> str:
        return region_name(HEAD if self.is_head else BACKBONE, self.region)

    def is_behind(self, other: _Part) -> bool:
        return (self.region, self.is_head) > (other.region, other.is_head)


class _Regions:
    """Which part computes what.

    Attributes:
        parts: the part of every variable but the parameters; None of what is before all regions.
        integer: the int8 tensors that are computed in integers.
        quantized_again: what heads compute of the int8 tensors that they give.
    """

    def __init__(self, main: relax.Function, one_head: bool) -> None:
        self.main = main
        self.params = set(main.params)
        self.definitions = definitions_of(main)
        self.parts: dict[relax.Var, _Part | None] = {}
        self.integer: set[relax.Var] = set()
        for var, value in self.definitions.items():
            region = self._region_in_integers(var)
            if region is not None and not (one_head and region > 0):
                self.integer.add(var)
                self.parts[var] = _Part(region, is_head=False)
                continue
            region = max((self._region(each) for each in variables_of(value)), default=_BEFORE)
            self.parts[var] = None if region == _BEFORE else _Part(region, is_head=True)
        self.quantized_again: set[relax.Var] = set()
        for var in self.parts:
            if self.is_quantized(var) and var not in self.integer:
                self.quantized_again |= self._own_ancestors(var)

    def _own_ancestors(self, var: relax.Var) -> set[relax.Var]:
        """What the part of ``var`` computes it from."""
        part = self.parts[var]
        reached = self.ancestors([var], lambda other: self.parts.get(other) != part)
        return {other for other in reached if self.parts.get(other) == part}

    def _region(self, var: relax.Var) -> int:
        part = self.parts.get(var)
        return _BEFORE if part is None else part.region

    def _region_in_integers(self, var: relax.Var) -> int | None:
        """The region of the int8 tensor ``var`` that is computed from int8 tensors, else None."""
        if not self.is_quantized(var):
            return None
        try:
            inputs = match_quantized_op(var, self.definitions).inputs
        except NotLowerable as reason:
            log.info("%s is not in a backbone: %s", var.name, reason)
            return None
        regions = []
        for operand in inputs:
            if operand.tensor in self.integer or operand.tensor in self.params:
                regions.append(max(self._region(operand.tensor), 0))
            elif self.is_quantized(operand.tensor):
                # From here on integers go on from floats.
                regions.append(self._region(operand.tensor) + 1)
            else:
                return None
        return max(regions)

    def is_quantized(self, var: relax.Var) -> bool:
        """Whether ``var`` is an int8 tensor that a quantize gives."""
        return op_name(self.definitions.get(var)) == "quantize"

    def is_entry(self, var: relax.Var) -> bool:
        """Whether ``var`` is quantized in ``main``, before all regions."""
        return self.is_quantized(var) and self.parts[var] is None

    def is_stored(self, var: relax.Var) -> bool:
        """Whether a part takes ``var`` from the one that it is of, and does not compute it again.

        A dequantize is computed again, so that bytes are passed on, and so is what the input alone
        leads to, and simple arithmetic that the other part has no use for.
        """
        if self.parts.get(var) is None or not isinstance(var.ty, relax.TensorType):
            return False
        name = op_name(self.definitions[var])
        return name != "dequantize" and (name not in _SIMPLE or var in self.quantized_again)

    def ancestors(
        self, roots: Iterable[relax.Var], is_known: Callable[[relax.Var], bool]
    ) -> set[relax.Var]:
        """Every variable that ``roots`` depend on, themselves included; not beyond those known."""
        reached: set[relax.Var] = set()
        pending = list(roots)
        while pending:
            var = pending.pop()
            if var in reached:
                continue
            reached.add(var)
            if var in self.definitions and not is_known(var):
                pending.extend(variables_of(self.definitions[var]))
        return reached


class _Partition:
    """The parts as functions.

    Attributes:
        results: what each part gives to others, in the order of the graph; the parts that are
            computed first come first.
        params: what each takes.
    """

    def __init__(self, regions: _Regions) -> None:
        self.regions = regions
        self.main = regions.main
        self.definitions = regions.definitions
        output = self.main.body.body
        last = regions.parts.get(output)
        if last is None:
            raise GraphError(self._why_none(output))
        parts = [_Part(region, head) for region in range(last.region + 1) for head in (False, True)]
        self.entries: list[relax.Var] = []
        self.results: dict[_Part, list[relax.Var]] = {part: [] for part in parts}
        self.params: dict[_Part, list[relax.Var]] = {part: [] for part in parts}
        self.results[parts[-1]] = [output]
        for part in reversed(parts):
            self._find_params(part)
        self._sort()

    def build(self, mod: tvm.IRModule) -> tvm.IRModule:
        """``mod`` with the parts and the ``main`` that calls them."""
        builder = relax.BlockBuilder()
        functions = {
            part: self._emit(builder, part.name, self.params[part], results)
            for part, results in self.results.items()
        }
        with builder.function(MAIN, list(self.main.params)):
            with builder.dataflow():
                values = {param: param for param in self.main.params}
                self._copy(builder, self.entries, values)
                *parts, last = self.results
                for part in parts:
                    results = self.results[part]
                    call = builder.emit(self._call(functions[part], part, values))
                    for index, var in enumerate(results):
                        single = len(results) == 1
                        field = call if single else builder.emit(relax.TupleGetItem(call, index))
                        values[var] = field
                result = builder.emit_output(self._call(functions[last], last, values))
            builder.emit_func_output(result)
        result = builder.get()
        for name, function in mod.functions_items():
            if name.name_hint != MAIN:
                result[name] = function
        return result

    def _why_none(self, output: relax.Var) -> str:
        reached = self.regions.ancestors([output], lambda var: False)
        if any(self.regions.is_quantized(var) for var in reached):
            return (
                "nothing of the network is computed in int8: only its input is quantized, and all "
                "that reads it is in float; let its first layers be int8, or choose the scheme fp32"
            )
        why = "none of its int8 activations reaches the output"
        if not any(self.regions.is_quantized(var) for var in self.definitions):
            why = "it has no int8 activation"
        return (
            f"nothing of the network is computed in int8, so it has no precision boundary: {why}; "
            "choose another scheme or recipe, such as mixed, or fp32 for all of it"
        )

    def _find_params(self, part: _Part) -> None:
        """Set what ``part`` takes, and add it to the results of the parts that give it."""
        params = self.regions.params

        def is_param(var: relax.Var) -> bool:
            if var in params or self.regions.is_entry(var):
                return True
            source = self.regions.parts[var]
            # The operation of an int8 tensor is all copied, and only int8 tensors lead to it.
            passes = part.is_head or self.regions.is_quantized(var)
            return (
                passes
                and source is not None
                and part.is_behind(source)
                and self.regions.is_stored(var)
            )

        for var in self.regions.ancestors(self.results[part], is_param):
            if is_param(var):
                self.params[part].append(var)
                source = self.regions.parts.get(var)
                known = self.entries if source is None else self.results[source]
                if var not in params and var not in known:
                    known.append(var)

    def _sort(self) -> None:
        """Put results into the order of the graph. A part takes first what its region has made
        before it, then the network's input, then what earlier regions give."""
        order = {var: place for place, var in enumerate([*self.main.params, *self.definitions])}
        for results in (self.entries, *self.results.values()):
            results.sort(key=order.__getitem__)
        for part, params in self.params.items():

            def place(var: relax.Var, part: _Part = part) -> tuple[bool, bool, int]:
                source = self.regions.parts.get(var)
                is_own = source is not None and source.region == part.region
                return not is_own, source is not None, order[var]

            params.sort(key=place)

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

    def _call(
        self, function: relax.GlobalVar, part: _Part, values: dict[relax.Var, relax.Var]
    ) -> relax.Call:
        return relax.Call(function, [values[param] for param in self.params[part]])

    def _copy(
        self,
        builder: relax.BlockBuilder,
        results: list[relax.Var],
        values: dict[relax.Var, relax.Var],
    ) -> None:
        """Emit again what ``results`` need beyond the known ``values``, which grow by it."""
        needed = self.regions.ancestors(results, set(values).__contains__)
        for var, value in self.definitions.items():
            if var in needed and var not in values:
                values[var] = builder.emit(substitute(value, values))
