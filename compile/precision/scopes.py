"""What a search chooses a precision for: the modules of a network, and a letter for each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import fx

from compile.networks.parts import FLOAT, Parts, module_path
from compile.quantize.operations import ACTIVATIONS
from compile.quantize.precisions import precisions_of
from compile.quantize.schemes import Precision, Rule, scheme_named

INT8, WEIGHT_ONLY, IN_FLOAT = "i", "w", "f"
LETTERS = {
    Precision.INT8: INT8,
    Precision.WEIGHT_ONLY_INT8: WEIGHT_ONLY,
    Precision.FLOAT: IN_FLOAT,
}
PRECISIONS = {letter: precision for precision, letter in LETTERS.items()}
#: As a recipe spells them.
WORDS = {INT8: "int8", WEIGHT_ONLY: "weight-only", IN_FLOAT: "float"}

Assignment = str
"""A letter for each scope, in order."""


@dataclass(frozen=True)
class Scopes:
    """The modules of a network that have operations of their own, in the order of the graph.

    Attributes:
        paths: of the modules, as the rules of a recipe name them.
        frozen: those that are in float under every scheme.
        groups: what one precision is chosen for: scopes by their number; a convolution and its
            activation are one.
        behind: by group, the scopes that it and all that is computed from it are of.
        makers: by scope, those that make what it reads.
        macs: of each scope.
    """

    paths: tuple[str, ...]
    frozen: frozenset[int]
    groups: tuple[frozenset[int], ...]
    behind: tuple[frozenset[int], ...]
    makers: tuple[frozenset[int], ...]
    macs: tuple[int, ...]

    @cached_property
    def number(self) -> dict[str, int]:
        """The number of each path."""
        return {path: number for number, path in enumerate(self.paths)}

    def below(self, path: str) -> frozenset[int]:
        """The scopes in or below the module at ``path``."""
        return frozenset(
            number
            for number, each in enumerate(self.paths)
            if each == path or each.startswith(f"{path}.")
        )

    def whole(self, scopes: Iterable[int]) -> frozenset[int]:
        """``scopes`` with all of each group that one is of, but for the frozen."""
        found = frozenset(scopes)
        touched = [group for group in self.groups if group & found]
        return found.union(*touched) - self.frozen

    def start(self, letter: str) -> Assignment:
        """All of it in one precision."""
        numbers = range(len(self.paths))
        return "".join(IN_FLOAT if number in self.frozen else letter for number in numbers)

    def with_letter(self, assignment: Assignment, scopes: Collection[int], letter: str) -> str:
        """``assignment`` with the ``letter`` for ``scopes``."""
        letters = enumerate(assignment)
        return "".join(letter if number in scopes else before for number, before in letters)

    def recipe(self, assignment: Assignment) -> tuple[str, tuple[Rule, ...]]:
        """The scheme and the rules that make ``assignment`` of it, as few as modules allow."""
        letter = next(one for one in WORDS if one in assignment)
        scheme = {INT8: "int8", WEIGHT_ONLY: "w8a32", IN_FLOAT: "fp32"}[letter]
        found: list[Rule] = []
        self._add_rules("", self.paths, assignment, self.start(letter), found)
        return scheme, tuple(found)

    def _add_rules(
        self,
        path: str,
        below: Sequence[str],
        wanted: Assignment,
        before: Assignment,
        found: list[Rule],
    ) -> None:
        """Add rules for the scopes ``below`` the module at ``path``, which have the letters
        ``before`` by those that are there."""
        numbers = [self.number[name] for name in below]
        if all(before[number] == wanted[number] for number in numbers):
            return
        letters, own = {wanted[number] for number in numbers}, self.number.get(path)
        if len(letters) == 1:
            found.append(Rule(path, (), PRECISIONS[letters.pop()]))
            return
        if own is not None and before[own] != wanted[own]:
            found.append(Rule(path, (), PRECISIONS[wanted[own]]))
            before = self.with_letter(before, numbers, wanted[own])
        depth = path.count(".") + 1 if path else 0
        children: dict[str, list[str]] = {}
        for name in below:
            if name != path:
                children.setdefault(".".join(name.split(".")[: depth + 1]), []).append(name)
        for child, names in children.items():
            self._add_rules(child, names, wanted, before, found)


def find_scopes(graph: fx.Graph, parts: Parts, root: str) -> Scopes:
    """Find the scopes of the float network's exported ``graph``, whose operations are of ``parts``;
    ``root`` is the path of the user's module."""
    paths: dict[str, list[fx.Node]] = {}
    for node in parts:
        paths.setdefault(scope_path(node, root), []).append(node)
    number = {path: place for place, path in enumerate(paths)}
    group_of = list(range(len(paths)))
    for path, nodes in paths.items():
        source = nodes[0].args[0]
        alone = all(node.target in ACTIVATIONS for node in nodes)
        if alone and isinstance(source, fx.Node) and source in parts:
            group_of[number[path]] = group_of[number[scope_path(source, root)]]
    frozen = {number[path] for path, nodes in paths.items() if parts[nodes[0]] == FLOAT}
    groups = [
        frozenset(place for place, group in enumerate(group_of) if group == first)
        for first in dict.fromkeys(group_of)
    ]
    reached = _reached(parts, number, root)
    return Scopes(
        tuple(paths),
        frozenset(frozen),
        tuple(group - frozen for group in groups if group - frozen),
        tuple(
            frozenset().union(*(reached[place] for place in group)) - frozen
            for group in groups
            if group - frozen
        ),
        tuple(
            frozenset(
                number[scope_path(source, root)]
                for node in nodes
                for source in node.all_input_nodes
                if source in parts and scope_path(source, root) != path
            )
            for path, nodes in paths.items()
        ),
        tuple(sum(map(_macs, nodes)) for nodes in paths.values()),
    )


def scope_path(node: fx.Node, root: str) -> str:
    """The path of the module that ``node`` is of, as a rule of a recipe names it."""
    return module_path(node).removeprefix(f"{root}.")


def assignment_of(scheme: str, scopes: Scopes, parts: Parts, root: str) -> Assignment:
    """The letters that the scheme of that name has for ``scopes``; a module whose operations differ
    has the letter of most of them, which is why a scheme is evaluated by its name."""
    letters: dict[str, Counter[str]] = {path: Counter() for path in scopes.paths}
    for node, precision in precisions_of(parts, scheme_named(scheme), root).items():
        letters[scope_path(node, root)][LETTERS[precision]] += 1
    return "".join(counts.most_common(1)[0][0] for counts in letters.values())


def _reached(parts: Parts, number: Mapping[str, int], root: str) -> list[frozenset[int]]:
    """By scope, itself and those that anything is of that is computed from what it makes."""
    behind: dict[fx.Node, frozenset[int]] = {}
    found: list[frozenset[int]] = [frozenset()] * len(number)
    for node in reversed([*parts]):
        place = number[scope_path(node, root)]
        users = (behind[user] for user in node.users if user in behind)
        behind[node] = frozenset({place}).union(*users)
        found[place] |= behind[node]
    return found


def _macs(node: fx.Node) -> int:
    if node.target is not torch.ops.aten.conv2d.default:
        return 0
    weight = node.args[1]
    assert isinstance(weight, fx.Node)
    made, each = node.meta["val"].shape, weight.meta["val"].shape
    return int(made.numel() * each[1:].numel())
