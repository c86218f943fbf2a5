"""Work on many things at once, each in its turn."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Taken = TypeVar("Taken")
Made = TypeVar("Made")
Result = TypeVar("Result")

AHEAD = 2
"""Things that are done with the first step and wait for the second, at most."""

BEHIND = 2
"""Things that are in the last step at once; as many again wait for it or are done with it and wait
for one before them, at most."""


def work_side_by_side(
    items: Iterable[Item],
    take: Callable[[Item], Taken],
    make: Callable[[Taken], Made],
    finish: Callable[[Made], Result],
    finish_is_long: bool = False,
) -> Generator[Result, None, None]:
    """Yield ``finish(make(take(item)))`` of each item, in their order.

    One thread takes ahead, and others finish, while the caller's own makes: what of its state
    belongs to a thread, and Ctrl-C, stay there. Where there are fewer cores than threads the others
    step back behind it, but not those that finish where that is most of the work
    (``finish_is_long``). So at most :data:`AHEAD` + 1 + 2 * :data:`BEHIND` things exist at once,
    and one that is being taken. If a step raises, or the caller stops asking, what has begun is
    ended and nothing else is.
    """
    remaining = iter(items)
    taken: deque[Future[Taken]] = deque()
    finishing: deque[Future[Result]] = deque()
    with (
        ThreadPoolExecutor(1, "take", _step_back) as before,
        ThreadPoolExecutor(BEHIND, "finish", None if finish_is_long else _step_back) as behind,
    ):
        try:
            while True:
                while len(taken) < AHEAD and (item := next(remaining, _END)) is not _END:
                    taken.append(before.submit(take, item))  # type: ignore[arg-type]
                if not taken:
                    break
                made = make(taken.popleft().result())
                finishing.append(behind.submit(finish, made))
                while finishing and (len(finishing) > 2 * BEHIND or finishing[0].done()):
                    yield finishing.popleft().result()
            while finishing:
                yield finishing.popleft().result()
        finally:
            before.shutdown(wait=False, cancel_futures=True)
            behind.shutdown(wait=False, cancel_futures=True)


def work_at_once(
    items: Iterable[Item],
    work: Callable[[Item], Result],
    threads: int,
    enter: Callable[[], object],
) -> Generator[Result, None, None]:
    """Yield ``work(item)`` of each item, in their order.

    So many ``threads`` work at once, each of which calls ``enter`` first. As many results as there
    are threads wait for a slow one before them, at most. If ``work`` raises, or the caller stops
    asking, what has begun is ended and nothing else is.
    """
    remaining = iter(items)
    begun: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(threads, "work", enter) as pool:
        try:
            while True:
                while len(begun) < 2 * threads and (item := next(remaining, _END)) is not _END:
                    begun.append(pool.submit(work, item))  # type: ignore[arg-type]
                if not begun:
                    break
                yield begun.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


_END = object()
_NICE = 10


def _step_back() -> None:
    """Let the other threads go first where there are fewer cores than threads: they wait for this
    one sooner or later. On Linux a thread has a priority of its own."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
