"""Code of graphs that is generated when they are run."""

from __future__ import annotations

import pytest
import torch
from torch import fx
from torch.fx import GraphModule

from compile.quantize.generate_late import generating_late


def doubled() -> GraphModule:
    return fx.symbolic_trace(lambda x: x * 2)


def test_it_is_generated_once_and_of_the_last_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    generated: list[GraphModule] = []
    generate = GraphModule.recompile
    monkeypatch.setattr(
        GraphModule, "recompile", lambda module: (generated.append(module), generate(module))[1]
    )
    with generating_late():
        module = doubled()
        (times,) = (node for node in module.graph.nodes if node.op == "call_function")
        times.args = (times.args[0], 3)
        module.recompile()
        assert not generated
    for _ in range(2):
        assert module(torch.tensor(7)) == 21
    assert generated == [module]


def test_others_are_left_alone() -> None:
    """Also when the block is left by an error."""
    before = GraphModule.recompile
    with pytest.raises(KeyError), generating_late():
        raise KeyError
    assert GraphModule.recompile is before
    assert "2" in doubled().code
