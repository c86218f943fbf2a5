"""Into which stages a network falls, of which each is computed tile by tile on the whole of a
picture before the next one begins. Not a pass itself.

A stage ends where what follows depends on the whole picture: at a mean over all pixels or at the
moments of an InstanceNorm. It also ends behind a small tensor of which a pixel depends on many
around it, because that many are computed for nothing around each tile. Between two stages, tensors
of the whole picture are kept where they are small, at most :data:`MOST_KEPT` numbers for a pixel of
the picture, and narrow ones in place of those that 1x1 convolutions make of them. All else is
computed again from what is kept or from the picture.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import tvm
from tvm import relax

from compile.graph.constants import definitions_of, variables_of
from compile.graph.match_quantized_op import QuantizedOp, match_quantized_op
from compile.graph.quantized_graph import NotLowerable, op_name
from compile.graph.shapes import tensor_shape
from compile.graph.tile_reach import is_global, reach_of
from compile.support.errors import GraphError

#: Numbers that are kept for a pixel of the picture, of one tensor.
MOST_KEPT = 1.0
#: Of a tensor that a stage ends behind for what its pixels depend on alone, and how many pixels of
#: the picture they look at on one side before that pays.
_NARROW, _FAR = 1 / 8, 48


@dataclass(frozen=True)
class Stage:
    """What is computed of all tiles before the next stage begins.

    Attributes:
        inputs: the picture, or tensors that earlier stages have made of it; a tile of each.
        values: means that are known by then, and norms whose scales and shifts are.
        results: what it makes.
        halo: pixels of the picture around a tile that it reads for the tile's sake.
    """

    inputs: tuple[relax.Var, ...]
    values: tuple[relax.Var, ...]
    results: tuple[relax.Var, ...]
    halo: int


class StagePlan:
    """The stages of a network that makes a picture of a picture.

    Attributes:
        function: the network, without calls of other functions.
        size: height and width of its picture.
        alignment: pixels; tiles begin at multiples of it.
        stages: in the order of computation; the last one makes the network's result.

    Raises:
        GraphError: it cannot be computed in tiles; the text says why.
    """

    def __init__(self, function: relax.Function) -> None:
        self.function = function
        self.definitions = definitions_of(function)
        self._order = {v: i for i, v in enumerate([*function.params, *self.definitions])}
        self.picture, self.output = self._ends()
        self.size = tensor_shape(self.picture)[1:3]
        self._spatial: set[relax.Var] = {self.picture}
        #: Of each variable that is no constant: the stage that computes it, and how many pixels of
        #: the picture on one side it depends on in that stage.
        self._levels: dict[relax.Var, int] = {self.picture: 0}
        self._reach: dict[relax.Var, int] = {self.picture: 0}
        self._ends_stage: set[relax.Var] = set()
        for var, value in self.definitions.items():
            self._place(var, value)
        self.alignment = max(map(self.stride, self._spatial))
        self.stages = self._stages()

    def name(self, var: relax.Var) -> str:
        """Call ``var`` by a name that no other has: in the graph some may have the same."""
        return f"tensor_{self._order[var]}"

    def source(self, value: relax.Var) -> relax.Var:
        """The feature map whose mean or moments ``value``, of those of a stage, is made of."""
        mean = self.integer_means.get(value)
        if mean is not None:
            return mean.inputs[0].tensor
        return self.definitions[value].args[0]

    @cached_property
    def integer_means(self) -> dict[relax.Var, QuantizedOp]:
        """The int8 means of int8 feature maps."""
        found = {}
        for var, value in self.definitions.items():
            if op_name(value) != "quantize" or tensor_shape(var)[1:3] != (1, 1):
                continue
            try:
                matched = match_quantized_op(var, self.definitions)
            except NotLowerable:
                continue
            if matched.kind == "mean":
                found[var] = matched
        return found

    def is_norm(self, var: relax.Var) -> bool:
        """Whether ``var`` is what an InstanceNorm makes."""
        return op_name(self.definitions.get(var)) == "nn.instance_norm"

    def is_value(self, var: relax.Var) -> bool:
        """Whether ``var`` depends on the whole of a feature map."""
        return (
            self.is_norm(var) or var in self.integer_means or is_global(self.definitions.get(var))
        )

    def stride(self, var: relax.Var) -> int:
        """Pixels of the picture for one of ``var``, in each direction.

        Raises:
            GraphError: it is no whole number, or not the same in both.
        """
        (height, width), (rows, columns) = self.size, tensor_shape(var)[1:3]
        if height % rows or width % columns or height // rows != width // columns:
            raise GraphError(
                f"the network cannot be computed in tiles: {op_name(self.definitions.get(var))} "
                f"makes {rows}x{columns} pixels of {height}x{width}, which are no whole strides; "
                "build it without --tiles"
            )
        return height // rows

    def _ends(self) -> tuple[relax.Var, relax.Var]:
        """The picture that goes in and the one that comes out."""
        params, output = self.function.params, self.function.body.body
        pictures = [*params, output]
        if (
            len(params) != 1
            or not isinstance(output.ty, relax.TensorType)
            or any(len(tensor_shape(var)) != 4 for var in pictures)
            or tensor_shape(params[0])[:3] != tensor_shape(output)[:3]
        ):
            raise GraphError(
                "the network cannot be computed in tiles: it does not make one picture of one of "
                "the same size; build it without --tiles"
            )
        return params[0], output

    def _place(self, var: relax.Var, value: relax.Expr) -> None:
        """Say which stage computes ``var``, if it is no constant."""
        operands = [one for one in variables_of(value) if one in self._levels]
        if not operands:
            return
        level = max(map(self._known_from, operands))
        self._levels[var] = level
        spatial = [one for one in operands if one in self._spatial]
        if not spatial:
            return
        if self.is_value(var) and not self.is_norm(var):
            self._levels[var] = self._levels[self.source(var)] + 1
            return
        if len(tensor_shape(var)) != 4 or tensor_shape(var)[0] != 1:
            raise GraphError(
                f"the network cannot be computed in tiles: {op_name(value)} makes a tensor of "
                f"shape {tensor_shape(var)}, which is no feature map; build it without --tiles"
            )
        self._spatial.add(var)
        pixels = reach_of(value, self.definitions)
        if self.is_norm(var):
            self._levels[var] = level = self._levels[self.source(var)] + 1
        own = [one for one in spatial if self._known_from(one) == level == self._levels[one]]
        reach = max((self._reach[one] + pixels * self.stride(one) for one in own), default=0)
        if not own:
            reach = max(pixels * self.stride(one) for one in spatial)
        self._reach[var] = reach
        if reach > _FAR and self._kept(var) <= _NARROW and self._may_end(var):
            self._ends_stage.add(var)

    def _known_from(self, var: relax.Var) -> int:
        """The first stage that can read all of ``var`` that it needs."""
        return self._levels[var] + (var in self._ends_stage)

    def _may_end(self, var: relax.Var) -> bool:
        """Whether no integer kernel is cut in two behind ``var``."""
        return str(var.ty.dtype) == "int8" or not self._is_quantized

    @cached_property
    def _is_quantized(self) -> bool:
        return any(op_name(value) == "quantize" for value in self.definitions.values())

    def _kept(self, var: relax.Var) -> float:
        """Numbers of ``var`` for a pixel of the picture."""
        return tensor_shape(var)[3] / self.stride(var) ** 2

    def _bytes(self, var: relax.Var) -> float:
        return self._kept(var) * tvm.DataType(str(var.ty.dtype)).itemsize

    def _stages(self) -> tuple[Stage, ...]:
        last = self._levels[self.output]
        results: list[set[relax.Var]] = [set() for _ in range(last + 1)]
        results[last].add(self.output)
        stages = []
        # What a stage makes is known when those behind it are.
        for number in range(last, -1, -1):
            stage = self._stage(number, results)
            stages.append(stage)
        return tuple(stage for stage in reversed(stages) if stage.results)

    def _stage(self, number: int, results: list[set[relax.Var]]) -> Stage:
        inputs, values, computed = set[relax.Var](), set[relax.Var](), set[relax.Var]()
        pending = list(results[number])
        while pending:
            var = pending.pop()
            if var in inputs or var in computed:
                continue
            if var == self.picture:
                inputs.add(var)
                continue
            if var in self._levels and self.is_value(var):
                values.add(var)
                results[self._levels[var] - 1].add(self.source(var))
                if not self.is_norm(var):
                    continue
            if var in self._spatial and self._levels[var] < number:
                kept = self._narrowest(var)
                if kept == var:
                    inputs.add(var)
                    results[self._levels[var]].add(var)
                    continue
            computed.add(var)
            pending.extend(variables_of(self.definitions[var]))
        halo = self._halo(results[number], computed)
        return Stage(
            self._sorted(inputs),
            self._sorted(values),
            self._sorted(results[number]),
            -(-halo // self.alignment) * self.alignment,
        )

    def _narrowest(self, var: relax.Var) -> relax.Var | None:
        """The tensor that is kept for the sake of ``var``: itself, one that it is made of pixel by
        pixel, or none."""
        best, one = None, var
        while one != self.picture:
            is_narrower = best is None or self._bytes(one) < self._bytes(best)
            if self._kept(one) <= MOST_KEPT and is_narrower:
                best = one
            value = self.definitions[one]
            spatial = [each for each in variables_of(value) if each in self._spatial]
            is_pointwise = len(spatial) == 1 and self.stride(spatial[0]) == self.stride(one)
            if not is_pointwise or self.is_norm(one) or reach_of(value, self.definitions):
                return best
            (one,) = spatial
        return None

    def _halo(self, results: Iterable[relax.Var], computed: set[relax.Var]) -> int:
        """Pixels of the picture around a tile that its ``results`` depend on by way of what is
        ``computed``."""
        needed = dict.fromkeys(results, 0)
        for var in reversed(self._sorted(computed)):
            if var not in self._spatial or var not in needed:
                continue
            value = self.definitions[var]
            pixels = reach_of(value, self.definitions)
            for one in variables_of(value):
                if one in self._spatial:
                    stride = self.stride(one)
                    reach = -(-needed[var] // stride) * stride + pixels * stride
                    needed[one] = max(needed.get(one, 0), reach)
        return max(needed.values(), default=0)

    def _sorted(self, variables: Iterable[relax.Var]) -> tuple[relax.Var, ...]:
        return tuple(sorted(variables, key=self._order.__getitem__))
