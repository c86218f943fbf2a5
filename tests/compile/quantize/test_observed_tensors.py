"""What observers have seen once they do not look at again."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, fx, nn

from compile.quantize.observe_in_threads import observing_in_threads
from compile.quantize.observed_tensors import ObservedTensors
from compile.quantize.observers import FastHistogramObserver, RangeObserver, WideMinMaxObserver
from compile.quantize.schemes import Calibration

FRAMES = [scale * torch.linspace(-1, 2, 60).reshape(1, 3, 4, 5) for scale in (1.0, 3.0, 0.5)]


class Chain(nn.Module):
    """Four tensors; one observer sees the ``shared`` of them, and ``makes`` what others see one."""

    def __init__(self, shared: tuple[int, ...], makes: type[nn.Module] | partial) -> None:
        super().__init__()
        one = FastHistogramObserver(dtype=torch.int8, bins=64)
        self.observers = nn.ModuleList(
            one if number in shared else makes(dtype=torch.int8) for number in range(4)
        )

    def forward(self, x: Tensor) -> Tensor:
        for observer in self.observers:
            x = observer(x) * 1.5 - 0.25
        return x


class Tracer(fx.Tracer):
    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return not isinstance(module, Chain | nn.ModuleList)


def calibrated(
    observed: ObservedTensors, shared: tuple[int, ...], makes: type[nn.Module] | partial
) -> tuple[bool, list[Tensor]]:
    """Whether all was known, and what the observers hold."""
    net = Chain(shared, makes)
    prepared = fx.GraphModule(net, Tracer().trace(net))
    remembering = observed.remembering(prepared)
    with remembering as is_known, torch.no_grad(), observing_in_threads(prepared):
        for frame in FRAMES[:1] if is_known else FRAMES:
            prepared(frame)
    assert all("forward" not in vars(each) for each in prepared.modules())
    return is_known, [buffer for _, buffer in prepared.named_buffers()]


@pytest.mark.parametrize("makes", [FastHistogramObserver, WideMinMaxObserver])
def test_known_tensors_are_the_same_to_the_last_bit(makes: type[nn.Module]) -> None:
    observed = ObservedTensors()
    is_known, first = calibrated(observed, (1, 3), makes)
    assert not is_known
    is_known, second = calibrated(observed, (1, 3), makes)
    assert is_known
    assert len(first) == len(second) > 4
    assert all(map(torch.equal, first, second))


def test_other_tensors_of_a_shared_observer_are_others() -> None:
    observed, alone = ObservedTensors(), ObservedTensors()
    calibrated(observed, (1, 3), FastHistogramObserver)
    is_known, found = calibrated(observed, (2, 3), FastHistogramObserver)
    assert not is_known
    _, expected = calibrated(alone, (2, 3), FastHistogramObserver)
    assert all(map(torch.equal, found, expected))


def test_methods_choose_of_the_same_histogram() -> None:
    observed, mse = ObservedTensors(), partial(RangeObserver, Calibration("mse"))
    calibrated(observed, (), FastHistogramObserver)
    is_known, found = calibrated(observed, (), mse)
    _, expected = calibrated(ObservedTensors(), (), mse)
    assert is_known and all(map(torch.equal, found, expected))


def test_other_options_are_others() -> None:
    observed = ObservedTensors()
    calibrated(observed, (), FastHistogramObserver)
    limited = partial(FastHistogramObserver, limits=(-1.0, 1.0))
    is_known, found = calibrated(observed, (), limited)
    assert not is_known
    _, expected = calibrated(ObservedTensors(), (), limited)
    assert all(map(torch.equal, found, expected))
