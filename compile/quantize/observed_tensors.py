"""What observers have seen, kept for the next quantization of the same network on the same inputs.

A network is calibrated in floats: what a tensor holds does not depend on which tensors are rounded.
A precision search, which quantizes one network many times, observes each tensor once, and so does
a comparison of methods that choose ranges of the same histograms.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, fx, nn
from torch.fx import GraphModule

from compile.quantize.observers import FastHistogramObserver, WideMinMaxObserver

# Of weights nothing is kept: they are observed in no time.
_KEPT = FastHistogramObserver | WideMinMaxObserver

_Key = tuple[str, ...]


class ObservedTensors:
    """Remembers observers by their options and by the tensors that they see, in order; of one
    network, of the same weights, on the same inputs."""

    def __init__(self) -> None:
        self._kept: dict[_Key, dict[str, Tensor]] = {}

    @contextmanager
    def remembering(self, prepared: GraphModule) -> Iterator[bool]:
        """Give the observers of ``prepared`` what is known, so that they look at nothing, and keep
        what the others have seen at the end of the block. Whether all are known."""
        observers = _observers_of(prepared)
        known = {key: one for key, one in observers.items() if key in self._kept}
        for key, observer in known.items():
            for name, value in self._kept[key].items():
                observer._buffers[name] = value.clone()
            observer.forward = _unseen
        try:
            yield len(known) == len(observers)
        finally:
            for observer in known.values():
                del observer.forward
        for key, observer in observers.items():
            self._kept[key] = {name: value.clone() for name, value in observer.named_buffers()}


def _unseen(tensor: Tensor) -> Tensor:
    return tensor


def _observers_of(prepared: GraphModule) -> dict[_Key, nn.Module]:
    """The observers of activations by what they are called with; one that is shared sees several
    tensors."""
    modules = dict(prepared.named_modules(remove_duplicate=False))
    calls: dict[nn.Module, list[str]] = {}
    for node in prepared.graph.nodes:
        if (observer := _observer_at(node, modules)) is not None:
            (source,) = node.all_input_nodes
            while _observer_at(source, modules) is not None:  # It passes on what it sees.
                (source,) = source.all_input_nodes
            calls.setdefault(observer, []).append(source.name)
    return {(repr(_options(one)), *tensors): one for one, tensors in calls.items()}


def _observer_at(node: fx.Node, modules: dict[str, nn.Module]) -> nn.Module | None:
    module = modules[str(node.target)] if node.op == "call_module" else None
    return module if isinstance(module, _KEPT) else None


def _options(observer: nn.Module) -> dict[str, object]:
    """How it was made; by which method it chooses a range of what it has seen is another matter."""
    return {
        "counts": isinstance(observer, FastHistogramObserver),
        **{
            name: value
            for name, value in vars(observer).items()
            if not name.startswith("_") and isinstance(value, bool | int | float | str | tuple)
        },
        "dtype": str(getattr(observer, "dtype", "")),
    }
