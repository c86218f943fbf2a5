"""Observers in threads see what they see in the network's own thread."""

from __future__ import annotations

import time
import weakref
from typing import ClassVar

import pytest
import torch
from torch import Tensor, fx, nn

from compile.quantize.observe_in_threads import observing_in_threads
from compile.quantize.observers import FastHistogramObserver


class _Chain(nn.Module):
    """Five tensors, the first and the last of them by the same observer."""

    def __init__(self, observer: type[FastHistogramObserver] = FastHistogramObserver) -> None:
        super().__init__()
        kinds = (observer, *[FastHistogramObserver] * 3)
        self.observers = nn.ModuleList(kind(dtype=torch.int8, bins=64) for kind in kinds)

    def forward(self, x: Tensor) -> Tensor:
        for observer in (*self.observers, self.observers[0]):
            x = observer(x) * 1.5 - 0.25
        return x


class _Tracer(fx.Tracer):
    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return isinstance(module, FastHistogramObserver)


def _prepared(net: nn.Module) -> fx.GraphModule:
    return fx.GraphModule(net, _Tracer().trace(net))


def test_ranges_are_the_same_to_the_last_bit() -> None:
    threaded, plain = _prepared(_Chain()), _prepared(_Chain())
    random = torch.Generator().manual_seed(0)
    photos = [k * torch.randn(1, 3, 33, 47, generator=random) for k in (0.1, 3, 0.5, 7, 1)]
    with torch.no_grad():
        with observing_in_threads(threaded):
            threaded_outputs = [threaded(photo) for photo in photos]
        outputs = [plain(photo) for photo in photos]
    for one, other in zip(threaded_outputs, outputs, strict=True):
        assert torch.equal(one, other)
    states = threaded.state_dict(), plain.state_dict()
    assert states[0].keys() == states[1].keys()
    for name, value in states[0].items():
        assert torch.equal(value, states[1][name]), name
    # Behind the block they work where they are called.
    assert all("forward" not in vars(each) for each in threaded.modules())


def test_more_tensors_than_may_wait() -> None:
    threaded = _prepared(_Chain())
    with torch.no_grad(), observing_in_threads(threaded):
        for _ in range(40):
            threaded(torch.randn(1, 1, 8, 8))
    assert threaded.get_submodule("observers.1").histogram.sum() == pytest.approx(40 * 64)


class _Failing(FastHistogramObserver):
    def forward(self, x_orig: Tensor) -> Tensor:
        raise ValueError("an infinite value")


def test_an_observer_that_fails_is_heard() -> None:
    threaded = _prepared(_Chain(_Failing))
    with pytest.raises(ValueError, match="infinite"), observing_in_threads(threaded):
        threaded(torch.randn(1, 1, 8, 8))


class _Watched(FastHistogramObserver):
    seen: ClassVar[list[weakref.ref[Tensor]]] = []

    def forward(self, activation: Tensor) -> Tensor:
        self.seen.append(weakref.ref(activation))
        return super().forward(activation)


def test_no_tensor_stays() -> None:
    """Of a large network those of all crops would not fit into memory."""
    threaded = _prepared(_Chain(_Watched))
    with torch.no_grad(), observing_in_threads(threaded):
        for _ in range(20):
            threaded(torch.randn(1, 1, 8, 8))
        deadline = time.monotonic() + 20
        while _count_alive() != (40, 0) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert _count_alive() == (40, 0)


def _count_alive() -> tuple[int, int]:
    """How many tensors were seen, and how many of them there are still."""
    return len(_Watched.seen), sum(each() is not None for each in _Watched.seen)
