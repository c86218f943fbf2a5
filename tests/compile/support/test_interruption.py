"""Signals that end a command: one word, the shell's exit code, nothing left behind."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import REPOSITORY

SCRIPT = REPOSITORY / "tests/support/ended_by_signal.py"
WORDS = {"SIGINT": "interrupted", "SIGTERM": "terminated", "SIGHUP": "hung up"}


def run(
    where: str, name: str, folder: Path, before: Callable[[], object] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, where, name, folder],
        cwd=REPOSITORY,
        env={"PYTHONPATH": str(REPOSITORY), "HOME": str(folder.parent)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=before,
    )


@pytest.mark.slow
@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("name", WORDS)
@pytest.mark.parametrize("where", ["python", "tvm", "swallowed"])
def test_nothing_is_left(where: str, name: str, tmp_path: Path) -> None:
    ended = run(where, name, tmp_path / "artefact")
    assert ended.returncode == 128 + getattr(signal, name), ended.stderr
    assert ended.stdout == "" and ended.stderr.splitlines()[-1] == WORDS[name]
    assert "Traceback" not in ended.stderr
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".mqnet")] == []
    assert not (tmp_path / "artefact").exists() and not list(tmp_path.glob("mqnet-test-*"))


def test_an_ignored_signal_stays_ignored(tmp_path: Path) -> None:
    """As nohup leaves it: a closed terminal ends nothing."""

    def ignore() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    ended = run("python", "SIGHUP", tmp_path / "artefact", ignore)
    assert ended.returncode == 0 and ended.stdout == "done\n", ended.stderr


def test_what_a_killed_command_left_is_removed_by_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "artefact"
    assert run("python", "SIGKILL", folder).returncode == -signal.SIGKILL
    assert len(list(folder.iterdir())) == 1 and len(list(tmp_path.glob("mqnet-test-*"))) == 1
    assert run("python", "SIGCONT", folder).returncode == 0
    assert [path.name for path in folder.iterdir()] == ["mqnet.so"]
    assert not list(tmp_path.glob("mqnet-test-*"))
