"""The help texts, which are read before anything else."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import (
    MAINS,
    REPOSITORY,
    Command,
)

from targets.load_target import list_targets


@pytest.mark.parametrize("command", MAINS)
def test_help_is_quick(command: str):
    """It imports neither torch nor TVM, which take seconds."""
    script = (
        "import runpy, sys\n"
        f"sys.argv = ['{command}.py', '--help']\n"
        "try:\n"
        f"    runpy.run_path('{command}.py', run_name='__main__')\n"
        "finally:\n"
        "    print('heavy:', sorted({'torch', 'tvm', 'numpy'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "heavy: []" in done.stdout and "--" in done.stdout


def test_whoever_reads_the_help_may_stop(tmp_path: Path):
    """As `--help | head`: no traceback."""
    command = f"{sys.executable} bench/latency.py --help 2> {tmp_path / 'err'} | head -c 10"
    done = subprocess.run(
        ["bash", "-c", command], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout == "usage: ben"
    assert (tmp_path / "err").read_text() == ""


def test_target_help(here: Command):
    outcome = here("compile/build", "--target", "help")
    assert outcome.code == 0
    assert all(re.search(rf"\b{name}\b", outcome.out) for name in list_targets()), outcome.out


def test_target_help_as_json(here: Command):
    outcome = here("compile/build", "--target", "help", "--json")
    assert outcome.code == 0
    assert [target["name"] for target in json.loads(outcome.out)] == list(list_targets())
