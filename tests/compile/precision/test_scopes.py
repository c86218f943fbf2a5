"""Scopes, and the recipes of what is chosen for them."""

from __future__ import annotations

import tomllib

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from compile.networks.parts import FLOAT, HEAD, module_path, parts_by_backbone
from compile.precision.scopes import (
    IN_FLOAT,
    INT8,
    LETTERS,
    WEIGHT_ONLY,
    Scopes,
    assignment_of,
    find_scopes,
)
from compile.precision.write_recipe import recipe_text
from compile.quantize.recipe import matches, read_recipe
from compile.quantize.schemes import Scheme, scheme_named

# A module may have operations of its own and others below it; "net" are the network's own.
_PATHS = ("a", "a.0", "a.0.b", "a.1", "a.10", "b.c", "b.d.e", "net")
_EVERY = tuple(frozenset({number}) for number in range(len(_PATHS)))


def scopes_of(frozen: frozenset[int]) -> Scopes:
    return Scopes(_PATHS, frozen, _EVERY, _EVERY, _EVERY, (0,) * len(_PATHS))


def applied(scheme: Scheme, scopes: Scopes) -> str:
    """The letters that a recipe's rules come to, as a quantizer reads them."""
    letters = ""
    for number, path in enumerate(scopes.paths):
        letter = IN_FLOAT if number in scopes.frozen else LETTERS[scheme.backbone]
        for rule in scheme.rules:
            if matches(rule, path, "conv2d"):
                letter = LETTERS[rule.precision]
        letters += letter
    return letters


@given(st.text(INT8 + WEIGHT_ONLY + IN_FLOAT, min_size=8, max_size=8), st.integers(-1, 7))
def test_a_recipe_is_its_assignment(tmp_path_factory: pytest.TempPathFactory, letters, frozen):
    scopes = scopes_of(frozenset({frozen} if frozen >= 0 else ()))
    assignment = scopes.with_letter(letters, scopes.frozen, IN_FLOAT)
    scheme, rules = scopes.recipe(assignment)
    path = tmp_path_factory.getbasetemp() / "recipe.toml"
    path.write_text(recipe_text(scheme, rules))
    read = read_recipe(path)
    assert (read.name, read.rules) == (scheme, rules)
    assert applied(read, scopes) == assignment
    assert len(rules) <= len(_PATHS)


def test_a_recipe_has_few_rules():
    scopes = scopes_of(frozenset())
    head = scopes.with_letter(scopes.start(INT8), scopes.below("b"), WEIGHT_ONLY)
    scheme, rules = scopes.recipe(head)
    assert tomllib.loads(recipe_text(scheme, rules)) == {
        "scheme": "int8",
        "rule": [{"modules": "b", "precision": "weight-only"}],
    }
    assert scopes.recipe(scopes.start(WEIGHT_ONLY)) == ("w8a32", ())
    assert scopes.recipe(scopes.start(IN_FLOAT)) == ("fp32", ())


class Net(nn.Module):
    """With operations of its own, between its modules."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 1))
        self.table = nn.Tanh()
        self.top = nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.top(self.table(self.body(x)) + x))


class Wrapper(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = Net()

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) * 2


def test_scopes_of_a_network():
    graph = torch.export.export(Wrapper().eval(), (torch.zeros(1, 3, 8, 8),)).graph
    parts = parts_by_backbone(graph, "net.body", "net.table")
    scopes = find_scopes(graph, parts, "net")
    assert scopes.paths == ("body.0", "body.1", "body.2", "table", "net", "top")
    assert scopes.frozen == {3}
    # A convolution and its activation are one, what is behind them ends before the wrapper.
    assert scopes.groups == ({0, 1}, {2}, {4}, {5})
    assert scopes.behind == ({0, 1, 2, 4, 5}, {2, 4, 5}, {4, 5}, {4, 5})
    assert scopes.makers == (set(), {0}, {1}, {2}, {3, 5}, {4})
    assert scopes.macs == (64 * 4 * 27, 0, 64 * 12, 0, 0, 64 * 9)
    assert scopes.whole({1, 3}) == {0, 1}
    assert scopes.below("body") == {0, 1, 2}
    assert assignment_of("mixed", scopes, parts, "net") == "iiifww"
    assert assignment_of("int8", scopes, parts, "net") == scopes.start(INT8) == "iiifii"
    assert {parts[node] for node in parts if module_path(node) == "net.table"} == {FLOAT}
    assert scheme_named("mixed").head in LETTERS and HEAD in parts.values()
