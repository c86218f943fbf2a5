"""Much at once, in order, few things at a time."""

from __future__ import annotations

import threading

import pytest

from compile.support.side_by_side import AHEAD, BEHIND, work_at_once, work_side_by_side

_SECONDS = 60  # Where steps waited for each other it would be for ever.


def _same(item: int) -> int:
    return item


def test_results_are_in_order() -> None:
    later = threading.Event()

    def finish(item: int) -> int:
        if item == 0:
            assert later.wait(_SECONDS)
        if item == 1:
            later.set()
        return item * 10

    assert list(work_side_by_side(range(9), _same, _same, finish)) == [0, 10, *range(20, 90, 10)]


def test_the_next_is_taken_while_one_is_made() -> None:
    taken = [threading.Event() for _ in range(3)]

    def take(item: int) -> int:
        taken[item].set()
        return item

    def make(item: int) -> int:
        assert taken[min(item + 1, 2)].wait(_SECONDS)
        return item

    assert list(work_side_by_side(range(3), take, make, _same)) == [0, 1, 2]


def test_few_exist_at_once() -> None:
    lock = threading.Lock()
    exist = most = 0

    def take(item: int) -> int:
        nonlocal exist, most
        with lock:
            exist += 1
            most = max(most, exist)
        return item

    for _ in work_side_by_side(range(40), take, _same, _same):
        with lock:
            exist -= 1
    assert exist == 0 and 2 <= most <= AHEAD + 1 + 2 * BEHIND + 1


def test_what_has_begun_is_ended_and_nothing_else() -> None:
    begun, go_on, finished = threading.Event(), threading.Event(), []

    def make(item: int) -> int:
        if item == 1:
            assert begun.wait(_SECONDS)
            threading.Timer(0.05, go_on.set).start()
            raise KeyboardInterrupt
        return item

    def finish(item: int) -> int:
        begun.set()
        assert go_on.wait(_SECONDS)
        finished.append(item)
        return item

    with pytest.raises(KeyboardInterrupt):
        list(work_side_by_side(range(9), _same, make, finish))
    assert finished == [0]


def test_an_error_of_a_thread_is_the_callers() -> None:
    def finish(item: int) -> float:
        return 1 / (item - 1)

    results = work_side_by_side(range(3), _same, _same, finish)
    assert next(results) == -1
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_all_work_at_once_and_results_are_in_order() -> None:
    together, entered, lock = threading.Barrier(3), [], threading.Lock()
    waiting = most = 0

    def work(item: int) -> int:
        nonlocal waiting, most
        together.wait(_SECONDS)
        with lock:
            waiting += 1
            most = max(most, waiting)
        return item * 10

    results = []
    for result in work_at_once(range(12), work, 3, lambda: entered.append(threading.get_ident())):
        results.append(result)
        with lock:
            waiting -= 1
    assert results == [*range(0, 120, 10)]
    assert len(set(entered)) == 3 and most <= 6


def test_of_work_at_once_only_what_has_begun_is_ended() -> None:
    go_on, finished = threading.Event(), []

    def work(item: int) -> int:
        if item == 1:
            threading.Timer(0.05, go_on.set).start()
            raise ZeroDivisionError
        assert go_on.wait(_SECONDS)
        finished.append(item)
        return item

    results = work_at_once(range(9), work, 2, lambda: None)
    assert next(results) == 0
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert set(finished) <= {0, 2, 3} and 0 in finished
