"""Worker processes: a task that crashes or hangs costs its own process and nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from command_line import REPOSITORY
from pool_tasks import answer, answer_later, any_of, crash, fail, hang, prepare, unsendable

from compile.support.worker_pool import (
    NoAnswer,
    Outcome,
    WorkerError,
    WorkerPool,
    WorkerProcess,
)


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    pool = WorkerPool(2, prepare, ("yes",))
    yield pool
    pool.close()


def test_workers_stay(pool: WorkerPool) -> None:
    outcomes = pool.run(answer, [(value,) for value in range(30)], 30)
    assert [outcome.value[0] for outcome in outcomes] == list(range(30))
    assert len({outcome.value[1] for outcome in outcomes}) <= 2
    assert {outcome.value[2] for outcome in outcomes} == {"yes"}
    assert not any(outcome.error for outcome in outcomes)


def test_bad_tasks_cost_nobody_else(pool: WorkerPool) -> None:
    tasks = ["answer", "crash", "answer", "fail", "leave", "answer", "hang", "answer"]
    outcomes = pool.run(any_of, [(task,) for task in tasks], 3)
    errors = {
        "answer": ("", False),
        "crash": ("crashed (SIGSEGV)", True),
        "leave": ("crashed (exit code 3)", True),
        "fail": ("ValueError: last line", False),
        "hang": ("no end within 3 s", True),
    }
    assert [(outcome.error, outcome.crashed) for outcome in outcomes] == [errors[t] for t in tasks]
    assert pool.run(answer, [(1,)], 30)[0].value[0] == 1


def test_workers_start_anew_after_so_many_tasks() -> None:
    pool = WorkerPool(1, prepare, ("yes",), most_tasks=3)
    try:
        outcomes = pool.run(answer, [(value,) for value in range(8)], 30)
    finally:
        pool.close()
    assert len({outcome.value[1] for outcome in outcomes}) == 3


def test_close_ends_what_hangs() -> None:
    pool = WorkerPool(1, prepare, ("yes",))
    _, worker, _ = pool.run(answer, [(1,)], 30)[0].value
    with ThreadPoolExecutor(1) as other:
        hung = other.submit(pool.run, hang, [(), ()], 600)
        time.sleep(0.5)
        pool.close()
        with pytest.raises(RuntimeError, match="the pool is closed"):
            hung.result(20)
    assert not psutil.pid_exists(worker)


def test_a_pool_that_cannot_start() -> None:
    pool = WorkerPool(1, fail)
    try:
        outcomes = pool.run(answer, [(1,), (2,)], 30)
        assert [outcome.error for outcome in outcomes] == ["ValueError: last line"] * 2
    finally:
        pool.close()


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


@pytest.mark.parametrize("task", [answer_later, hang])
def test_a_process_is_closed(process: WorkerProcess, task: Callable[[], None]) -> None:
    process.started().get()
    process.send(task, ())
    began = time.monotonic()
    process.close()
    assert time.monotonic() - began < 20
    assert not psutil.pid_exists(process.pid)


def test_a_process_that_cannot_start() -> None:
    assert WorkerProcess(fail).run(answer, 1, seconds=30).error == "ValueError: last line"


def test_what_cannot_be_sent_back_is_an_error(process: WorkerProcess) -> None:
    assert "pickle" in process.run(unsendable, seconds=30).error
    assert process.run(answer, 1, seconds=30).get()[1] == process.pid


_PARENT = """
import time
from compile.support.worker_pool import WorkerPool
from pool_tasks import answer, prepare
if __name__ == "__main__":
    pool = WorkerPool(2, prepare, ("yes",))
    for outcome in pool.run(answer, [(n,) for n in range(40)], 30):
        print(outcome.value[1], flush=True)
    print("ready", flush=True)
    time.sleep(600)
"""


def test_workers_end_with_a_session_that_is_killed() -> None:
    paths = REPOSITORY, REPOSITORY / "tests/support"
    env = {**os.environ, "PYTHONPATH": ":".join(map(str, paths))}
    command = [sys.executable, "-c", _PARENT]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True) as parent:
        workers = set()
        for line in parent.stdout:
            if line == "ready\n":
                break
            workers.add(int(line))
        assert workers
        parent.kill()
    deadline = time.monotonic() + 20
    while any(psutil.pid_exists(worker) for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.1)
