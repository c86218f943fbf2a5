"""A process of its own: it keeps its state, and is not replaced when it crashed or hung."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from pool_tasks import answer, answer_later, crash, fail, hang, prepare, unsendable

from compile.support.outcome import NoAnswer, Outcome, WorkerError
from compile.support.worker_process import WorkerProcess


@pytest.fixture
def process() -> Iterator[WorkerProcess]:
    process = WorkerProcess(prepare, ("yes",))
    yield process
    process.kill()


def test_a_process_stays_the_same(process: WorkerProcess) -> None:
    for value in range(3):
        assert process.run(answer, value, seconds=30).get() == (value, process.pid, "yes")
    with pytest.raises(WorkerError, match="ValueError: last line") as failed:
        process.run(fail, seconds=30).get()
    assert not isinstance(failed.value, NoAnswer)
    assert process.run(answer, 1, seconds=30).get()[1] == process.pid


@pytest.mark.parametrize(
    ("task", "error"), [(crash, "crashed (SIGSEGV)"), (hang, "no end within 1 s")]
)
def test_a_process_is_not_replaced(
    process: WorkerProcess, task: Callable[[], None], error: str
) -> None:
    assert process.run(task, seconds=1) == Outcome(error=error, crashed=True)
    with pytest.raises(NoAnswer, match=re.escape(error)):
        process.run(answer, 1, seconds=30).get()
    assert not psutil.pid_exists(process.pid)


@pytest.mark.parametrize(("task", "error"), [(answer_later, ""), (hang, "its process was ended")])
def test_a_process_is_closed(process: WorkerProcess, task: Callable[[], None], error: str) -> None:
    process.run(answer, 1, seconds=30).get()
    with ThreadPoolExecutor(1) as other:
        running = other.submit(process.run, task, seconds=600)
        time.sleep(0.2)
        began = time.monotonic()
        process.close()
        assert time.monotonic() - began < 20
        assert running.result(20).error == error
    assert not psutil.pid_exists(process.pid)


def test_a_process_that_cannot_start() -> None:
    assert WorkerProcess(fail).run(answer, 1, seconds=30).error == "ValueError: last line"


def test_what_cannot_be_sent_back_is_an_error(process: WorkerProcess) -> None:
    assert "pickle" in process.run(unsendable, seconds=30).error
    assert process.run(answer, 1, seconds=30).get()[1] == process.pid
