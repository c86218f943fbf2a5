"""Streams that never stop the work, and say what they lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from compile.support.standard_streams import SteadyStream, steady_streams

_ROOT = Path(__file__).parents[3]
# A thousand lines, then a file that is there only where the work went on to its end.
_WORK = """
import pathlib, sys
from compile.support.standard_streams import steady_streams
with steady_streams() as out:
    for number in range(1000):
        # More in all than a pipe holds: else it would all be in there before head has begun.
        print("line", number, "-" * 200, flush=True)
        print("progress", file=sys.stderr)
    pathlib.Path(sys.argv[1]).write_text("done")
    print(out.loss(), file=sys.stderr)
    sys.exit(out.loss()[0])
"""


@pytest.mark.parametrize(
    ("streams", "codes"),
    [
        ("> /dev/null", "0"),
        ("| head -1", "141 0"),
        ("> /dev/full", "2"),
        (">&-", "2"),
        # What is for people may be lost; the work and its result are there.
        ("2>&1 > /dev/null | head -1", "0 0"),
        ("> /dev/null 2> /dev/full", "0"),
        ("> /dev/null 2>&-", "0"),
    ],
)
def test_work_goes_on_to_its_end(tmp_path: Path, streams: str, codes: str):
    command = f'"{sys.executable}" -c "$WORK" {tmp_path}/done {streams}; echo "${{PIPESTATUS[@]}}"'
    environment = {**os.environ, "WORK": _WORK, "PYTHONPATH": str(_ROOT)}
    done = subprocess.run(
        ["bash", "-c", command], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == codes
    assert (tmp_path / "done").read_text() == "done"
    assert "Traceback" not in done.stderr and "ignored" not in done.stderr


def test_a_file_never_takes_the_place_of_a_closed_stream(tmp_path: Path):
    """What a library prints to descriptor 1 would be written into it."""
    script = (
        "import os, sys\n"
        "from compile.support.standard_streams import steady_streams\n"
        "with steady_streams(), open(sys.argv[1], 'w') as file:\n"
        "    os.write(1, b'of a library')\n"
        "    file.write('mine')\n"
    )
    path = tmp_path / "file"
    command = ["bash", "-c", '"$0" -c "$1" "$2" <&- >&- 2>&-', sys.executable, script, str(path)]
    subprocess.run(command, env={**os.environ, "PYTHONPATH": str(_ROOT)}, check=True)
    assert path.read_text() == "mine"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_an_encoding_lacks_is_escaped(tmp_path: Path, encoding: str):
    with (tmp_path / "out").open("w", encoding=encoding) as file:
        SteadyStream(file).write("M\u00fcller \udcff")
    expected = "M\u00fcller \udcff".encode(encoding, "backslashreplace")
    assert (tmp_path / "out").read_bytes() == expected


def test_a_bullet_becomes_an_asterisk(tmp_path: Path):
    with (tmp_path / "out").open("w", encoding="ascii") as file:
        SteadyStream(file).write("\u2022 fetch\u2026")
    assert (tmp_path / "out").read_text() == "* fetch..."


def test_the_streams_are_put_back():
    before = sys.stdout, sys.stderr
    with steady_streams() as out:
        assert sys.stdout is out
        assert out.isatty() == before[0].isatty()
    assert (sys.stdout, sys.stderr) == before
    assert out.loss() == (0, "")


def test_compilers_warnings_are_kept_away_and_pythons_lines_are_not() -> None:
    program = (
        "import os, sys\n"
        "from compile.support.standard_streams import native_stderr_silenced\n"
        "with native_stderr_silenced():\n"
        "    os.write(2, b'of C++\\n'); print('of Python', file=sys.stderr)\n"
        "os.write(2, b'after\\n')\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=True
    )
    assert ended.stderr == "of Python\nafter\n"
