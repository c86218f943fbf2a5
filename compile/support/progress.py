"""What a long command tells while it runs: on a terminal it moves, in a log it is plain lines.

All of it goes to stderr. A terminal that cannot draw over a line (TERM=dumb) is a log, too. In a
log there is a line for each step that has ended, and at least every 10 s a line that says what is
running.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar

from compile.support.interruption import check_interrupted

# Looked at every second, so that no silence is longer than 10 s.
_LONGEST_SILENCE, _LOOK_SECONDS = 9.0, 1.0


def can_move(console: Console) -> bool:
    """Tell whether what ``console`` shows can be drawn over."""
    return console.is_terminal and not console.is_dumb_terminal


class Step:
    """One step of a command while it runs.

    Attributes:
        name: what it is called.
        total: how many parts it has; None where it has none that are counted.
        doing: which part it is at, as a text; "" where nobody has said.
        done: how many parts are done.
        began: by the clock of its :class:`Progress`.
    """

    def __init__(self, name: str, total: int | None, began: float) -> None:
        self.name, self.total, self.began = name, total, began
        self.doing, self.done = "", 0
        #: Called after each change, to draw it.
        self.show: Callable[[], None] = lambda: None

    def describe(self, text: str) -> None:
        """Say which part the step is at; a log shows it with the next line."""
        self.doing = text
        self.show()

    def advance(self, count: int = 1) -> None:
        """Count ``count`` more parts as done."""
        self.done += count
        self.show()

    def text(self) -> str:
        """What it is called, which part it is at, and how many are done."""
        parts = f"{self.done} of {self.total}" if self.total is not None else ""
        return ", ".join(text for text in (self.name, self.doing, parts) if text)


class Progress:
    """Tells on ``console`` which step of a command runs, and how long each took.

    Attributes:
        seconds: how long each finished phase took, by its name.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console, self._clock = console, clock
        self._running: list[Step] = []
        self._said = clock()
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[Step]:
        """Show everything inside as phase ``name``, and its seconds in a line at the end."""
        with self._step(name, None) as step, self._spinner(step):
            yield step
        check_interrupted()
        self.seconds[name] = self._clock() - step.began
        self.say(f"  {name:<44}{self.seconds[name]:7.1f} s")

    @contextmanager
    def count(self, name: str, total: int | None, done: int = 0) -> Iterator[Step]:
        """Show everything inside as step ``name`` of ``total`` parts (None: nobody knows), of which
        ``done`` are done; each further one is told to the step."""
        with self._step(name, total) as step, self._bar(step):
            step.advance(done)
            yield step

    def say(self, text: str) -> None:
        """Print a line of plain ``text``."""
        self._said = self._clock()
        self._console.print(text, soft_wrap=True, highlight=False, markup=False)

    def beat(self) -> None:
        """Say in a log what is running, where nothing was said for some seconds."""
        running, now = self._running[-1:], self._clock()
        if running and now - self._said >= _LONGEST_SILENCE:
            self.say(f"  {running[0].text()}: {now - running[0].began:.0f} s so far")

    @contextmanager
    def _step(self, name: str, total: int | None) -> Iterator[Step]:
        step = Step(name, total, self._clock())
        is_first = not self._running
        self._running.append(step)
        try:
            with self._heart() if is_first else contextlib.nullcontext():
                yield step
        finally:
            self._running.remove(step)

    @contextmanager
    def _heart(self) -> Iterator[None]:
        """Beat all the while, in a thread of its own."""
        if can_move(self._console) or self._console.quiet:
            yield
            return
        self._said = self._clock()
        ended = threading.Event()

        def beat_until_the_end() -> None:
            # A log that is full or gone is for the command to find out.
            with contextlib.suppress(OSError):
                while not ended.wait(_LOOK_SECONDS):
                    self.beat()

        heart = threading.Thread(target=beat_until_the_end, daemon=True)
        heart.start()
        try:
            yield
        finally:
            ended.set()
            heart.join()

    @contextmanager
    def _spinner(self, step: Step) -> Iterator[None]:
        if not can_move(self._console):
            yield
            return
        with self._console.status(escape(step.text()), spinner=self._spinner_name()) as status:
            step.show = lambda: status.update(escape(step.text()))
            yield

    def _spinner_name(self) -> str:
        return "line" if self._console.options.ascii_only else "dots"

    def _bar(self, step: Step) -> AbstractContextManager[object]:
        if not can_move(self._console):
            return contextlib.nullcontext()
        columns = (
            SpinnerColumn(self._spinner_name()),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
        )
        bar = Bar(*columns, console=self._console, transient=True)
        task = bar.add_task(step.name, total=step.total)

        def show() -> None:
            text = ", ".join(text for text in (step.name, step.doing) if text)
            bar.update(task, description=text, completed=step.done)

        step.show = show
        return bar


def make_shown(
    folder: Path, console: Console, make: Callable[[Callable[[str], None]], bool]
) -> None:
    """Make ``folder`` by ``make``, and show its steps on ``console``.

    Args:
        folder: that is made.
        console: of stderr.
        make: is given what it has to call with the name of each step as it begins; answers whether
            the folder was made anew.
    """
    progress = Progress(console)
    with contextlib.ExitStack() as running:

        def begin(step: str) -> None:
            running.close()
            running.enter_context(progress.phase(step))

        made = make(begin)
    progress.say(f"{'made' if made else 'is current'}: {folder}")
