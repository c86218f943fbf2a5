"""``--json`` into a pipe: stdout is JSON and nothing else, and what is for people is on stderr.

Commands that take minutes have the same in their own tests.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import QUICK, as_user


@pytest.mark.parametrize("command", ["help", "status", "build"])
def test_stdout_is_json_and_nothing_else(command: str, tmp_path: Path):
    commands = {
        "help": ("compile/build", "--target", "help"),
        "status": ("compile/tune", "--status"),
        "build": ("compile/build", *QUICK, "--out", tmp_path / "artefact"),
    }
    outcome = as_user(*commands[command], "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)
    assert command == "help" or outcome.err
