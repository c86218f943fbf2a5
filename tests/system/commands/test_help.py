"""The help texts, which are read before anything else."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest
from command_line import (
    MAINS,
    REPOSITORY,
    Command,
    as_user,
)

from targets.load_target import list_targets


@pytest.mark.parametrize("command", MAINS)
def test_help_on_an_ascii_terminal_is_quick(command: str):
    """It imports neither torch nor TVM, which take seconds: on stderr Python tells what it does."""
    environment = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "COLUMNS": "80"}
    outcome = as_user(command, "--help", env=environment | {"PYTHONPROFILEIMPORTTIME": "1"})
    assert outcome.code == 0
    told = outcome.err.splitlines()
    assert all(line.startswith("import time:") for line in told), outcome.err
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in told}
    assert "compile" in imported and not {"torch", "tvm", "numpy"} & imported
    assert outcome.out.isascii() and "\\u" not in outcome.out and "--" in outcome.out
    if "--out" in outcome.out:  # By either word, and by a letter.
        assert {"-o", "--out", "--output"} <= set(re.findall(r"-o\b|--out(?:put)?\b", outcome.out))


@pytest.mark.parametrize("command", MAINS)
def test_help_that_is_lost(command: str):
    """A reader may go, as of `--help | head`, without a word; a full disk is an error."""
    reader, writer = os.pipe()
    os.close(reader)  # A help fits into a pipe: whoever reads has to be gone before it is written.
    for stdout, code in ((f">&{writer}", 141), ("> /dev/full", 2), (">&-", 2)):
        done = subprocess.run(
            ["bash", "-c", f"{sys.executable} {command}.py --help {stdout}; exit $?"],
            cwd=REPOSITORY,
            pass_fds=(writer,),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == code
        assert "Traceback" not in done.stderr
        assert code != 141 or done.stderr == ""
    os.close(writer)


def test_target_help(here: Command):
    outcome = here("compile/build", "--target", "help")
    assert outcome.code == 0
    assert all(re.search(rf"\b{name}\b", outcome.out) for name in list_targets()), outcome.out


def test_target_help_as_json(here: Command):
    outcome = here("compile/build", "--target", "help", "--json")
    assert outcome.code == 0
    assert [target["name"] for target in json.loads(outcome.out)] == list(list_targets())
