"""Ctrl-C while a command is imported: one word, whatever it was importing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from command_line import MAINS, REPOSITORY

# What every command imports for its options; the board's has the standard library's.
SLOW_IMPORT = """
import os, signal, time
os.kill(os.getpid(), signal.SIGINT)
time.sleep(60)
"""
COMMANDS = [name for name in MAINS if name != "device/serve"]


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    """A folder whose ``tyro`` is interrupted when it is imported."""
    (tmp_path / "tyro.py").write_text(SLOW_IMPORT)
    return tmp_path


def run(script: Path, folder: Path) -> tuple[int, str]:
    """Exit code and stderr of a new interpreter."""
    result = subprocess.run(
        [sys.executable, script],
        env={**os.environ, "PYTHONPATH": f"{folder}:{REPOSITORY}"},
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=as_in_the_foreground,
    )
    return result.returncode, result.stderr


def as_in_the_foreground() -> None:
    """The tests themselves may have been started with Ctrl-C ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def test_every_command(stand_in: Path) -> None:
    scripts = [REPOSITORY / f"{name}.py" for name in COMMANDS]
    with ThreadPoolExecutor(4) as pool:
        ended = list(pool.map(run, scripts, [stand_in] * len(scripts)))
    assert dict(zip(COMMANDS, ended, strict=True)) == dict.fromkeys(
        COMMANDS, (130, "interrupted\n")
    )


def test_an_installed_command(stand_in: Path) -> None:
    script = stand_in / "mqnet-build"
    script.write_text("from compile.build import main\nmain()\n")
    assert run(script, stand_in) == (130, "interrupted\n")


def test_who_imports_a_command_keeps_its_own_handler(stand_in: Path) -> None:
    script = stand_in / "mine.py"
    script.write_text("import compile.build\n")
    code, said = run(script, stand_in)
    assert code == -signal.SIGINT and "KeyboardInterrupt" in said
