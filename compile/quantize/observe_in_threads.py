"""Lets observers work beside the network that they observe: they take three times as long as it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from threading import BoundedSemaphore

from torch import Tensor
from torch.fx import GraphModule

from compile.quantize.observers import FastHistogramObserver

_MOST_TENSORS = 16
"""How many tensors may wait: of 64 channels at 256x256 270 MB."""


@contextmanager
def observing_in_threads(prepared: GraphModule) -> Iterator[None]:
    """Let the histogram observers of ``prepared`` work in threads, as many as there are cores.

    Each observer keeps to one thread and sees its tensors in the order in which the network makes
    them, so its range is the same to the last bit. All have seen all when the block ends, and what
    one of them raised is raised there.
    """
    observers = [each for each in prepared.modules() if isinstance(each, FastHistogramObserver)]
    room, seen = BoundedSemaphore(_MOST_TENSORS), list[Future[None]]()

    def beside(
        observe: Callable[[Tensor], Tensor], thread: ThreadPoolExecutor
    ) -> Callable[[Tensor], Tensor]:
        def see(activation: Tensor) -> None:
            # What it returns is the tensor, which would stay as the future's result.
            observe(activation)

        def forward(activation: Tensor) -> Tensor:
            room.acquire()
            future = thread.submit(see, activation.detach())
            future.add_done_callback(lambda _: room.release())
            seen.append(future)
            return activation

        return forward

    with ExitStack() as threads:
        cores = len(os.sched_getaffinity(0))
        executors = [threads.enter_context(ThreadPoolExecutor(1)) for _ in range(cores)]
        for number, observer in enumerate(observers):
            seen_by = beside(observer.forward, executors[number % cores])
            observer.forward = seen_by  # type: ignore[assignment, method-assign]
        try:
            yield
        finally:
            for observer in observers:
                del observer.forward
    for future in seen:
        future.result()
