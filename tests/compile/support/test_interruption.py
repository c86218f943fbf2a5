"""Signals that end a command: one word, the shell's exit code, nothing left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import REPOSITORY, Outcome
from forked_command import run_forked

SCRIPT = REPOSITORY / "tests/support/ended_by_signal.py"
WORDS = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "hung up"}


def environment(folder: Path) -> dict[str, str]:
    return {"PYTHONPATH": str(REPOSITORY), "HOME": str(folder.parent)}


def run(where: str, name: str, folder: Path) -> Outcome:
    """In a fork of a process that has imported TVM."""
    arguments = [where, name, str(folder)]
    return Outcome(*run_forked(str(SCRIPT), arguments, environment(folder)))


@pytest.mark.slow
@pytest.mark.parametrize("name", WORDS)
@pytest.mark.parametrize("where", ["python", "tvm", "swallowed", "again"])
def test_nothing_is_left(where: str, name: str, tmp_path: Path) -> None:
    ended = run(where, name, tmp_path / "artefact")
    assert ended.code == 128 + getattr(signal, name), ended.err
    assert ended.out == "" and ended.err.splitlines()[-1] == WORDS[name]
    assert "Traceback" not in ended.err
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".mqnet")] == []
    assert not (tmp_path / "artefact").exists() and not list(tmp_path.glob("mqnet-test-*"))


@pytest.mark.parametrize("name", WORDS)
def test_while_python_ends(name: str, tmp_path: Path) -> None:
    """Nothing is left to be done then, and what Python would say of it is no help."""
    ended = run("end", name, tmp_path / "artefact")
    assert (ended.code, ended.out, ended.err) == (-getattr(signal, name), "done\n", "")


def test_threads_of_tvm_are_not_waited_for(tmp_path: Path) -> None:
    """A command ends before what C++ does at a process's end, which may take minutes."""
    ended = run("native", "SIGINT", tmp_path / "artefact")
    assert (ended.code, ended.out, ended.err) == (0, "done\n", "")


def test_an_ignored_signal_stays_ignored(tmp_path: Path) -> None:
    """As nohup leaves it: a closed terminal ends nothing."""

    def ignore() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    ended = subprocess.run(
        [sys.executable, SCRIPT, "python", "SIGHUP", tmp_path / "artefact"],
        cwd=REPOSITORY,
        env=environment(tmp_path / "artefact"),
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=ignore,
    )
    assert ended.returncode == 0 and ended.stdout == "done\n", ended.stderr


def test_what_a_killed_command_left_is_removed_by_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "artefact"
    assert run("python", "SIGKILL", folder).code == -signal.SIGKILL
    assert len(list(folder.iterdir())) == 1 and len(list(tmp_path.glob("mqnet-test-*"))) == 1
    assert run("python", "SIGCONT", folder).code == 0
    assert [path.name for path in folder.iterdir()] == ["mqnet.so"]
    assert not list(tmp_path.glob("mqnet-test-*"))
