"""The file of a latency session."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from bench.session.run_file import new_run_file


def test_a_session_takes_no_other_ones_place(tmp_path: Path) -> None:
    now = datetime(2026, 11, 28, 14, 5, 9)
    names = []
    for _ in range(3):
        path = new_run_file(tmp_path, "host", now)
        path.write_text("measured")
        names.append(path.name)
    assert names == [f"host-20261128-140509{number}.json" for number in ("", "-2", "-3")]
    # A target by the path of its file.
    assert new_run_file(tmp_path, "./my/a.toml", now).parent == tmp_path
