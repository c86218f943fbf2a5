"""Graphs that say the same in several ways are written in one, and compute what they did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compile.quantize.simplify_graph import simplify_graph

SHAPE = (1, 6, 4, 8)


class Single(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        # What is exported must not end in an operation that is replaced.
        return self.function(x * 2) - 1


def shuffled_by_hand(x: Tensor) -> Tensor:
    batch, channels, height, width = x.shape
    y = x.view(batch, 3, channels // 3, height, width).transpose(1, 2).contiguous()
    return y.view(batch, -1, height, width)


def permuted_by_hand(x: Tensor) -> Tensor:
    return x.reshape(1, 2, 3, 4, 8).permute(0, 2, 1, 3, 4).reshape(SHAPE)


def in_place_and_read_again(x: Tensor) -> Tensor:
    y = x + 1
    z = F.relu(y, inplace=True)
    return y * 3 + z


def other_axes(x: Tensor) -> Tensor:
    """No shuffle of channels: rows are exchanged as well."""
    return x.view(1, 2, 3, 4, 8).transpose(2, 3).contiguous().view(1, 6, 4, 8)


CASES: dict[str, tuple[Callable[[Tensor], Tensor], set[str], set[str]]] = {
    "drop-out": (nn.Dropout(0.5), set(), {"dropout"}),
    "chunks": (lambda x: torch.cat(x.chunk(2, 1)[::-1], 1), {"slice"}, {"chunk"}),
    "split": (lambda x: x.split([1, 5], 1)[1], {"slice"}, {"split_with_sizes"}),
    "split evenly": (lambda x: x.split(4, -1)[1], {"slice"}, {"split"}),
    "mean": (lambda x: x.mean([2, 3]), {"adaptive_avg_pool2d", "flatten"}, {"mean"}),
    "mean that keeps": (lambda x: x.mean((-1, -2), True), {"adaptive_avg_pool2d"}, {"mean"}),
    "mean of a row": (lambda x: x.mean(3), {"mean"}, {"adaptive_avg_pool2d"}),
    "shuffle": (shuffled_by_hand, {"channel_shuffle"}, {"view", "transpose", "contiguous"}),
    "shuffle by permuting": (permuted_by_hand, {"channel_shuffle"}, {"reshape", "permute"}),
    "no shuffle": (other_axes, {"reshape", "transpose"}, {"channel_shuffle"}),
    "in place": (lambda x: F.hardswish(x + 0, inplace=True), {"hardswish"}, {"hardswish_"}),
    "in place, read again": (in_place_and_read_again, {"relu_"}, set()),
}


@pytest.mark.parametrize("name", CASES)
def test_it_computes_the_same(name: str) -> None:
    function, present, absent = CASES[name]
    x = torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    program = torch.export.export(Single(function).eval(), (x,))
    expected = program.module()(x.clone())
    simplify_graph(program)
    calls = [node for node in program.graph.nodes if node.op == "call_function"]
    found = Counter(node.target.overloadpacket.__name__ for node in calls)
    assert present <= set(found) and not absent & set(found)
    torch.testing.assert_close(program.module()(x.clone()), expected, rtol=0, atol=1e-6)
    for node in calls:
        assert node.meta["val"].shape is not None and "nn_module_stack" in node.meta
    # It can be exported again, which is done for another size.
    torch.export.export(program.module(), (x,))


class Dense(nn.Module):
    """A dense layer as the compiler writes it, behind an activation, or read twice."""

    def __init__(self, activation: Callable[[Tensor], Tensor], twice: bool = False) -> None:
        super().__init__()
        self.conv, self.activation, self.twice = nn.Conv2d(6, 5, 1), activation, twice

    def forward(self, x: Tensor) -> Tensor:
        rows = self.conv(x.reshape(1, 32, 1, 6).permute(0, 3, 1, 2))
        vectors = rows.permute(0, 2, 3, 1).reshape(32, 5)
        limited = self.activation(vectors)
        return limited + (vectors if self.twice else 1)


@pytest.mark.parametrize("function", [F.relu, F.relu6, nn.ReLU(inplace=True), nn.Hardtanh(-1, 2)])
def test_activation_of_a_dense_layer_is_its_convolutions(
    function: Callable[[Tensor], Tensor],
) -> None:
    x = torch.randn(SHAPE)
    program = torch.export.export(Dense(function).eval(), (x,))
    expected = program.module()(x)
    simplify_graph(program)
    torch.testing.assert_close(program.module()(x), expected, rtol=0, atol=0)
    (conv,) = (n for n in program.graph.nodes if n.target is torch.ops.aten.conv2d.default)
    (user,) = conv.users
    assert "nn_module_stack" in user.meta
    assert user.target.overloadpacket.__name__ in ("relu", "relu6", "hardtanh")


def test_activation_of_what_is_read_twice_stays() -> None:
    program = torch.export.export(Dense(F.relu, twice=True).eval(), (torch.randn(SHAPE),))
    simplify_graph(program)
    (relu,) = (n for n in program.graph.nodes if n.target is torch.ops.aten.relu.default)
    assert relu.args[0].target is torch.ops.aten.reshape.default


def test_what_is_read_behind_a_change_is_the_changed_one() -> None:
    x = torch.randn(SHAPE)
    program = torch.export.export(Single(in_place_and_read_again).eval(), (x,))
    simplify_graph(program)
    (relu,) = (n for n in program.graph.nodes if n.target is torch.ops.aten.relu_.default)
    assert len(relu.users) == 2 and set(relu.args[0].users) == {relu}
