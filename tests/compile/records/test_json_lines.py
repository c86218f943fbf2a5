"""Files of JSON lines: whatever stops a writer, the next reader and writer find whole lines."""

from __future__ import annotations

import resource
import signal
from pathlib import Path

import pytest

from compile.records.json_lines import append_line, read_lines, repair
from compile.support.errors import OutputError, TargetError

VALUES = [[0, "a\nb"], {"key": [1.5, None]}, "ünïcode"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "lines.json"
    for value in VALUES:
        append_line(file, value)
    return file


def test_lines_come_back(path: Path) -> None:
    assert read_lines(path) == VALUES
    assert repair(path) == 0


def test_no_file_has_no_lines(tmp_path: Path) -> None:
    assert read_lines(tmp_path / "none") == []
    assert repair(tmp_path / "none") == 0
    assert not (tmp_path / "none").exists()


def test_file_that_ends_at_any_byte_is_mended(path: Path) -> None:
    data = path.read_bytes()
    for end in range(len(data) + 1):
        path.write_bytes(data[:end])
        whole = data[:end].count(b"\n")
        assert read_lines(path) == VALUES[:whole]
        lost = repair(path)
        assert lost == end - (data.rfind(b"\n", 0, end) + 1)
        assert read_lines(path) == VALUES[:whole]
        append_line(path, "next")
        assert read_lines(path) == [*VALUES[:whole], "next"]


def test_damage_elsewhere_is_named(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b'{"key"', b'{"key'))
    with pytest.raises(TargetError, match=r"lines.json, line 2 is damaged \(.*\): restore"):
        read_lines(path)


def test_line_that_does_not_fit_leaves_nothing(path: Path) -> None:
    before = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 10, limits[1]))
    try:
        with pytest.raises(OutputError, match=r"lines.json cannot be written \(file too large\)"):
            append_line(path, "x" * 100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before


def test_full_disk(tmp_path: Path) -> None:
    (tmp_path / "full").symlink_to("/dev/full")
    with pytest.raises(OutputError, match=r"no space left on device\): free some space, and go on"):
        append_line(tmp_path / "full", "x")
