"""Lets observers work beside the network that they observe: they take three times as long as it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from threading import BoundedSemaphore

from torch import Tensor
from torch.fx import GraphModule

from compile.quantize.observers import FastHistogramObserver
from compile.quantize.pt2e import PerChannelMinMaxObserver

_SWITCH_SECONDS = 2e-4

_Observe = Callable[[Tensor], Tensor]

_MOST_TENSORS = 16
"""How many tensors may wait: of 64 channels at 256x256 270 MB."""


@contextmanager
def observing_in_threads(prepared: GraphModule) -> Iterator[None]:
    """Let the histogram observers of ``prepared`` work in threads, as many as there are cores, and
    those of weights once for each weight.

    Each observer sees its tensors one by one, in the order in which the network makes them, so its
    range is the same to the last bit. All have seen all when the block ends, and what one of them
    raised is raised there.
    """
    room, seen = BoundedSemaphore(_MOST_TENSORS), list[Future[None]]()

    def beside(observe: _Observe, threads: Executor) -> _Observe:
        before: Future[None] | None = None

        def see(activation: Tensor, before: Future[None] | None) -> None:
            if before is not None:
                before.result()  # It was begun before.
            # What it returns is the tensor, which would stay as the future's result.
            observe(activation)

        def forward(activation: Tensor) -> Tensor:
            nonlocal before
            room.acquire()
            before = threads.submit(see, activation.detach(), before)
            before.add_done_callback(lambda _: room.release())
            seen.append(before)
            return activation

        return forward

    with _waiting_shortly(), ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        observers = []
        for module in prepared.modules():
            if "forward" in vars(module):
                continue  # It has been told to look at nothing.
            if isinstance(module, FastHistogramObserver):
                instead = beside(module.forward, threads)
            elif isinstance(module, PerChannelMinMaxObserver):
                instead = _once(module.forward)
            else:
                continue
            module.forward = instead  # type: ignore[method-assign]
            observers.append(module)
        try:
            yield
        finally:
            for observer in observers:
                del observer.forward
    for future in seen:
        future.result()


@contextmanager
def _waiting_shortly() -> Iterator[None]:
    """Let a thread that is done with an operation of PyTorch have Python's lock after 0.2 ms, which
    is as long as such an operation takes, and not after 5."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(_SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def _once(observe: _Observe) -> _Observe:
    last: Tensor | None = None

    def forward(weight: Tensor) -> Tensor:
        nonlocal last
        if weight is not last:
            last = observe(weight)
        return weight

    return forward
