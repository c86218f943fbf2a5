"""Tables in which no name is cut, on any terminal and in a pipe."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console
from rich.table import Table

from compile.support.tables import print_table

NAMES = ("linux-arm64-with-a-very-long-name", "build/host-mixed-ca-768x1280/mqnet.so")
TEXT = "several short words that may go to another line, as texts do"


@pytest.mark.parametrize("width", [20, 60, 80, 100, 300])
@pytest.mark.parametrize("terminal", [True, False])
def test_no_name_is_cut(width: int, terminal: bool) -> None:
    table = Table(title=f"of {NAMES[1]}", caption=TEXT)
    for column in ("target", "what", "linked as"):
        table.add_column(column)
    table.add_row(NAMES[0], TEXT, NAMES[1])
    file = io.StringIO()
    print_table(table, Console(file=file, width=width, force_terminal=terminal, color_system=None))
    lines = re.sub("\x1b\\[[0-9;]*m", "", file.getvalue()).splitlines()
    assert all(any(name in line for line in lines) for name in NAMES)
    assert "\u2026" not in file.getvalue()
    assert f"of {NAMES[1]}" in lines[0]
    if not terminal:
        assert any(all(part in line for part in (*NAMES, TEXT)) for line in lines)
    elif width >= 80:
        least = sum(map(len, NAMES)) + len("several") + 10
        assert max(map(len, lines[1:-1])) <= max(width, least)
