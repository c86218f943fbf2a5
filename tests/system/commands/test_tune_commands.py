"""`compile/tune.py` on this machine, as a user has it: sessions that end in every way, and logs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import filelock
import psutil
import pytest
from command_line import (
    Command,
    Outcome,
    check_sentence,
    contents,
    in_fork,
)
from forked_command import ForkedProcess
from tuned_network import KERNELS, TUNED

from compile.records.log_folder import records_name
from compile.records.records import RECORDS, WORKLOADS, read_database
from compile.records.session_file import SESSION
from targets.load_target import load_target

NAME = records_name(load_target("host"))
SESSION_OPTIONS = "--target", "host", *TUNED


def tune(logs: Path, *options: object, **how: Any) -> Outcome:
    return in_fork("compile/tune", *SESSION_OPTIONS, "--logs", logs, *options, **how)


def summary(outcome: Outcome) -> dict:
    assert outcome.code == 0, outcome.err
    return json.loads(outcome.out)


@contextmanager
def running(logs: Path, said: Path) -> Iterator[ForkedProcess]:
    """A session in a process group of its own, once it has recorded; ``said`` is its stderr."""
    arguments = [*SESSION_OPTIONS, "--logs", str(logs)]
    with said.open("w") as file:
        process = ForkedProcess("compile/tune.py", arguments, os.environ, file, own_session=True)
    try:
        deadline = time.monotonic() + 120
        while lines(logs) < KERNELS:
            assert process.poll() is None, said.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield process
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGKILL)


def lines(logs: Path) -> int:
    path = logs / NAME / RECORDS
    return path.read_bytes().count(b"\n") if path.exists() else 0


def check_ended(workers: list[psutil.Process]) -> None:
    """A zombie has ended: it waits for its parent, which is gone, too."""
    assert workers
    deadline = time.monotonic() + 20
    while any(worker.is_running() and worker.status() != "zombie" for worker in workers):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def check_nothing_twice(logs: Path) -> None:
    log = read_database(logs / NAME)
    tried = Counter(
        (key, record.choice) for key, records in log.by_kernel.items() for record in records
    )
    assert tried and set(tried.values()) == {1}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """Logs with one session, and its summary. Copy before you change them."""
    logs = tmp_path_factory.mktemp("logs")
    return logs, summary(tune(logs, "--trials", 20, "--json"))


@pytest.fixture
def logs(finished: tuple[Path, dict], tmp_path: Path) -> Path:
    shutil.copytree(finished[0], tmp_path / "logs")
    return tmp_path / "logs"


def test_session(finished: tuple[Path, dict]) -> None:
    logs, found = finished
    assert found["log"] == str(logs / NAME)
    assert found["trials"] == 20 and found["stopped"] == "trials"
    assert len(found["kernels"]) == KERNELS
    for kernel in found["kernels"]:
        assert 0 < kernel["best_seconds"] <= kernel["builtin_seconds"] < 1
    assert any(kernel["measured"] > 1 for kernel in found["kernels"])
    assert found["frame_seconds"]["best"] <= found["frame_seconds"]["builtin"]
    assert found["built_in_only"]["mean"] >= 1
    assert sorted(path.name for path in (logs / NAME).iterdir()) == sorted(
        [".lock", RECORDS, WORKLOADS, SESSION]
    )


def test_next_session_goes_on(logs: Path) -> None:
    found = summary(tune(logs, "--trials", 8, "--json"))
    assert found["trials"] == 8
    check_nothing_twice(logs)
    session = json.loads((logs / NAME / SESSION).read_text())
    # Those that failed, and those that the last round has found to be no better.
    without_record = [*session["failed"].values(), *session["dropped"].values()]
    assert lines(logs) + sum(map(len, without_record)) == 28
    assert [one["trials"] for one in session["sessions"]] == [20, 8]


def test_builds_use_the_records(logs: Path, out: Path) -> None:
    outcome = in_fork(
        "compile/build", *SESSION_OPTIONS, "--logs", logs, "--out", out / "new", "--json"
    )
    main = json.loads(outcome.out)["parts"][-1]
    assert main["kernels_with_record"] == KERNELS
    assert main["kernels_without_record"] < main["kernels_with_record"]


def test_interrupted_session(tmp_path: Path) -> None:
    with running(tmp_path, tmp_path / "said") as process:
        workers = psutil.Process(process.pid).children(recursive=True)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(30) == 130
    err = (tmp_path / "said").read_text()
    assert "Traceback" not in err and err.endswith("interrupted\n")
    assert "times as fast" in err, "the table is shown all the same"
    check_ended(workers)
    session = json.loads((tmp_path / NAME / SESSION).read_text())
    assert session["sessions"][-1]["stopped"] == "interrupted"
    before = lines(tmp_path)
    tune(tmp_path, "--trials", 8)
    assert lines(tmp_path) > before
    check_nothing_twice(tmp_path)


def test_killed_session(tmp_path: Path) -> None:
    with running(tmp_path, tmp_path / "said") as process:
        workers = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(30)
    check_ended(workers)
    records = tmp_path / NAME / RECORDS
    records.write_bytes(records.read_bytes()[:-200])
    outcome = tune(tmp_path, "--trials", 4, "--json")
    assert f"{records} ended within a line" in outcome.err
    assert summary(outcome)["trials"] == 4
    check_nothing_twice(tmp_path)


def test_status(finished: tuple[Path, dict], here: Command) -> None:
    logs, found = finished
    outcome = here("compile/tune", "--status", "--logs", logs, "--json")
    (status,) = json.loads(outcome.out)
    assert status["log"] == NAME and status["records"] == lines(logs)
    assert status["device"] == found["device"]
    assert {k["name"]: k["best_seconds"] for k in status["kernels"]} == {
        kernel["name"]: pytest.approx(kernel["best_seconds"]) for kernel in found["kernels"]
    }
    assert NAME in outcome.err and "fp32 tuned_network 32x32" in outcome.err


def test_status_of_nothing(here: Command, tmp_path: Path) -> None:
    outcome = here("compile/tune", "--status", "--logs", tmp_path, "--json")
    assert (outcome.code, outcome.out) == (0, "[]\n")
    assert "no log holds anything" in outcome.err
    outcome = here("compile/tune", "--status", "--logs", tmp_path)
    assert (outcome.code, outcome.out, outcome.err) == (0, "no log holds anything\n", "")


def test_compact_and_compare(logs: Path, finished: tuple[Path, dict], here: Command) -> None:
    outcome = here("compile/tune", "--target", "host", "--logs", logs, "--compact", 1, "--json")
    compacted = json.loads(outcome.out)
    assert compacted["after"] == lines(logs) < compacted["before"] == lines(finished[0])
    workloads = [one / NAME / WORKLOADS for one in (logs, finished[0])]
    assert workloads[0].stat().st_size < workloads[1].stat().st_size
    outcome = here("compile/tune", "--compare", finished[0] / NAME, logs / NAME, "--json")
    comparison = json.loads(outcome.out)
    assert comparison["same_device"]
    assert len(comparison["kernels"]) == len(finished[1]["kernels"])
    for kernel in comparison["kernels"]:
        assert kernel["old"] == kernel["new"]
    # What was left out is not measured again.
    found = summary(tune(logs, "--trials", 10, "--json"))
    tried = read_database(finished[0] / NAME)
    for key, records in read_database(logs / NAME).by_kernel.items():
        new = {r.choice for r in records[-10:]} - set(tried.measured(key))
        assert len(records) <= 2 + len(new)
    assert found["trials"] == 10


def test_other_session(logs: Path) -> None:
    with filelock.FileLock(logs / NAME / ".lock"):
        before = contents(logs)
        check_sentence(tune(logs), f"another session writes to {logs / NAME}", "--logs")
        assert contents(logs) == before


def test_log_of_another_device(logs: Path) -> None:
    session = json.loads((logs / NAME / SESSION).read_text())
    session["device"]["cpu"] = "another one"
    (logs / NAME / SESSION).write_text(json.dumps(session))
    before = contents(logs)
    outcome = tune(logs, "--trials", 10)
    assert outcome.code == 2 and "Traceback" not in outcome.err
    assert "another one then" in outcome.err and "--logs" in outcome.err
    assert contents(logs) == before


def test_damaged_log(logs: Path) -> None:
    path = logs / NAME / RECORDS
    path.write_bytes(b"[0,{\n" + path.read_bytes())
    outcome = tune(logs, "--trials", 10)
    assert outcome.code == 2 and f"{path}, line 1 is damaged" in outcome.err


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ((), ("--target",)),
        (("--target", "hots"), ("hots", "host")),
        (("--target", "host", "--trials", 0), ("trials 0",)),
        (("--target", "host", "--threads", 0), ("threads 0",)),
        (("--target", "host", "--threads", 999), ("threads 999", "fewer")),
        (("--target", "host", "--size", "1x1"), ("1x1", "32x32")),
        (("--target", "host", "--compact", 0), ("compact 0",)),
        (("--target", "cortex-a57"), ("cortex-a57", "cortex-a55")),
        (("--target", "host", "--tracker", "127.0.0.1:9190"), ("--key is missing",)),
        (("--target", "host", "--key", "board"), ("--tracker is missing",)),
        (("--target", "host", "--tracker", "9190", "--key", "x"), ("'9190'", "HOST:PORT")),
        (("--target", "host", "--cooldown", -1), ("cooldown -1",)),
        (
            ("--target", "host", "--build-workers", "tcp://127.0.0.1:1"),
            ("no Dask scheduler answers at tcp://127.0.0.1:1", "mend --build-workers"),
        ),
        (("--target", "host", "--build-workers", "7"), ("'7'", "tcp://HOST:PORT")),
        (("--target", "host", "--emulate"), ("host", "EM_X86_64", "cortex-a76")),
        (("--target", "rk3588", "--emulate"), ("rk3588.toml", "'timing'", "cortex-a76")),
        (("--target", "cortex-a76", "--emulate", "--threads", 2), ("threads 2", "counted for one")),
        (
            ("--target", "cortex-a76", "--emulate", "--tracker", "127.0.0.1:1", "--key", "x"),
            ("--emulate needs no --tracker",),
        ),
    ],
)
def test_mistakes(here: Command, tmp_path: Path, options: tuple, parts: tuple[str, ...]) -> None:
    check_sentence(here("compile/tune", *options, "--logs", tmp_path), *parts)
    assert contents(tmp_path) == {}


def test_no_log_to_compact_or_compare(here: Command, tmp_path: Path) -> None:
    outcome = here("compile/tune", "--target", "host", "--compact", 1, "--logs", tmp_path)
    check_sentence(outcome, str(tmp_path / NAME), SESSION)
    outcome = here("compile/tune", "--compare", tmp_path / "a", tmp_path / "b")
    check_sentence(outcome, str(tmp_path / "a"), SESSION)
    assert contents(tmp_path) == {}


def test_log_that_cannot_be_written(logs: Path) -> None:
    """At the first record that does not fit: what was written stays whole."""
    # Room for some kernels of another size, and for the results that they are checked by.
    more = "--size", "48x48", "--trials", KERNELS
    outcome = tune(logs, *more, file_limit=300_000)
    assert outcome.code == 2 and "Traceback" not in outcome.err
    assert "cannot be written" in outcome.err and "raise the limit" in outcome.err
    read_database(logs / NAME)
