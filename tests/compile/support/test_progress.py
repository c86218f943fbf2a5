"""What a long command says while it runs, by a clock that the test moves."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from threading import Event

import pytest
from command_line import REPOSITORY
from rich.console import Console

from compile.support.progress import Progress, make_shown


@dataclass
class Clock:
    """Stands still until it is told to go on."""

    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def log() -> Console:
    """Of stderr where that is a file."""
    return Console(file=StringIO(), width=40)


def lines(console: Console) -> list[str]:
    return console.file.getvalue().splitlines()


def pass_seconds(progress: Progress, clock: Clock, seconds: int) -> None:
    """As the thread that beats each second does."""
    for _ in range(seconds):
        clock.now += 1
        progress.beat()


def test_a_phase_is_a_line_at_its_end():
    console, clock = log(), Clock()
    progress = Progress(console, clock)
    with progress.phase("quantize"):
        pass_seconds(progress, clock, 8)
        assert lines(console) == []
    assert progress.seconds == {"quantize": 8.0}
    assert lines(console)[0].split() == ["quantize", "8.0", "s"]


def test_no_silence_is_longer_than_ten_seconds():
    console, clock = log(), Clock()
    progress = Progress(console, clock)
    said = [clock.now]
    with progress.phase("link"):
        for _ in range(100):
            before = len(lines(console))
            pass_seconds(progress, clock, 1)
            if len(lines(console)) > before:
                said.append(clock.now)
    assert len(said) > 10
    assert max(b - a for a, b in zip(said, said[1:], strict=False)) <= 10
    assert lines(console)[0] == "  link: 9 s so far"


def test_a_step_says_how_many_parts_are_done_and_at_which_it_is():
    console, clock = log(), Clock()
    progress = Progress(console, clock)
    with progress.count("photographs", 5, done=1) as step:
        step.advance()
        step.describe("[bold]one.jpg")
        pass_seconds(progress, clock, 9)
    assert lines(console) == ["  photographs, [bold]one.jpg, 2 of 5: 9 s so far"]


def test_the_innermost_step_is_told_of():
    console, clock = log(), Clock()
    progress = Progress(console, clock)
    with progress.phase("outer"):
        with progress.phase("inner"):
            pass_seconds(progress, clock, 9)
        pass_seconds(progress, clock, 9)
    told = [line.split(":")[0].strip() for line in lines(console) if "so far" in line]
    assert told == ["inner", "outer"]


def test_a_line_that_was_said_is_a_sign_of_life():
    console, clock = log(), Clock()
    progress = Progress(console, clock)
    with progress.phase("tune"):
        for _ in range(5):
            pass_seconds(progress, clock, 6)
            progress.say("a batch")
    assert lines(console)[:-1] == ["a batch"] * 5


def test_a_phase_that_fails_has_no_line():
    console, clock = log(), Clock()
    progress = Progress(console, clock)
    with pytest.raises(OSError, match="no"), progress.phase("link"):
        raise OSError("no")
    pass_seconds(progress, clock, 30)
    assert lines(console) == [] and progress.seconds == {}


@pytest.mark.parametrize("made", [True, False])
def test_each_step_of_a_folder_is_a_line(made: bool):
    def make(begin: Callable[[str], None]) -> bool:
        for step in ("package lists", "wheels") if made else ():
            begin(step)
        return made

    console = log()
    make_shown(Path("/somewhere"), console, make)
    *steps, last = lines(console)
    assert [line.split("  ")[1] for line in steps] == (["package lists", "wheels"] if made else [])
    assert last == f"{'made' if made else 'is current'}: /somewhere"


def terminal(kind: str) -> Console:
    """As TERM names it."""
    return Console(file=StringIO(), force_terminal=True, width=80, _environ={"TERM": kind})


@pytest.mark.parametrize("name", ["phase", "count"])
def test_a_terminal_that_cannot_draw_over_a_line_is_a_log(
    name: str, monkeypatch: pytest.MonkeyPatch
):
    """TERM=dumb, as in Emacs's shell: rich shows nothing there before a step has ended."""
    monkeypatch.setattr("compile.support.progress._LONGEST_SILENCE", 0.0)
    monkeypatch.setattr("compile.support.progress._LOOK_SECONDS", 0.001)
    console, said = terminal("dumb"), Event()
    progress = Progress(console)
    say = progress.say
    monkeypatch.setattr(progress, "say", lambda text: (say(text), said.set()))
    with progress.phase("link") if name == "phase" else progress.count("link", 2):
        assert said.wait(60)
    assert lines(console)[0] == f"  link{', 0 of 2' * (name == 'count')}: 0 s so far"


def test_a_terminal_shows_what_runs_and_keeps_the_line_of_each_phase():
    console = terminal("xterm")
    progress = Progress(console)
    with progress.count("parts", 2) as step:
        step.describe("one[0]")
        step.advance(2)
    with progress.phase("outer"), progress.phase("inner") as step:
        step.describe("[b]")
    shown = console.file.getvalue()
    assert "parts, one[0]" in shown and "2/2" in shown
    assert [line.split()[0] for line in re.findall(r"\w+ +\d+\.\d s\n", shown)] == [
        "inner",
        "outer",
    ]


def test_a_real_second_passes_into_a_pipe():
    """With the thread, and nothing on stdout."""
    code = """
import time
from compile.support import progress
from compile.support.cli import stderr
progress._LONGEST_SILENCE, progress._LOOK_SECONDS = 0.2, 0.05
with progress.Progress(stderr).phase("build"):
    time.sleep(1)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    said = done.stderr.splitlines()
    assert done.stdout == "" and said[-1].split()[0] == "build"
    assert 3 <= len(said) <= 6 and all(line.endswith("s so far") for line in said[:-1])
