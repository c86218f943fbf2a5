"""A pool of processes: a task that crashes or hangs costs its own process and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest
from command_line import REPOSITORY
from pebble import ProcessFuture, ProcessPool
from pool_tasks import answer, any_of, crash, fail, hang, prepare, unsendable

from compile.support.outcome import Outcome
from compile.support.worker_pool import WorkerPool


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


def test_a_process_that_ends_without_a_task_costs_no_task(pool: WorkerPool) -> None:
    _, worker, _ = pool.run(answer, [(1,)], 30)[0].value
    psutil.Process(worker).kill()
    outcomes = pool.run(answer, [(value,) for value in range(4)], 30)
    assert [outcome.value[0] for outcome in outcomes] == list(range(4))


def test_a_pool_that_ends_without_a_word_of_its_tasks(
    pool: WorkerPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where it breaks just as they are handed over."""
    broken = ProcessPool(1)
    monkeypatch.setattr(broken, "schedule", lambda *_, **__: ProcessFuture())
    pool.close()
    pool = WorkerPool(2, prepare, ("yes",))
    whole = pool._pool
    pool._pool = broken
    with ThreadPoolExecutor(1) as other:
        outcomes = other.submit(pool.run, answer, [(value,) for value in range(3)], 30)
        time.sleep(0.2)
        broken.stop()
        assert [outcome.value[0] for outcome in outcomes.result(60)] == [0, 1, 2]
    pool.close()
    whole.stop()
    whole.join()


def test_a_process_that_crashes_as_it_starts() -> None:
    pool = WorkerPool(1, crash)
    try:
        for _ in range(2):
            (outcome,) = pool.run(answer, [(1,)], 30)
            assert outcome == Outcome(error="crashed as it started", crashed=True)
    finally:
        pool.close()


def test_what_cannot_be_sent_back_is_an_error(pool: WorkerPool) -> None:
    assert "pickle" in pool.run(unsendable, [()], 30)[0].error


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
