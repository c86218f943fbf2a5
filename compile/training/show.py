"""The progress of a training on a terminal, and Ctrl-C between two steps."""

from __future__ import annotations

import signal
from types import FrameType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from compile.training.log import Row
from compile.training.plan import TrainingPlan


class Progress:
    """A bar with the time that is left, and a line for each row of the log.

    Ctrl-C inside of the ``with`` stops training after the step under way, so that the state that
    is saved is a whole one.
    """

    def __init__(self, console: Console, plan: TrainingPlan) -> None:
        self._console, self._plan = console, plan
        self._interrupted = False
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(elapsed_when_finished=True),
        )
        self._bar = Bar(*columns, console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task("steps", total=plan.steps)

    def __enter__(self) -> Progress:
        """Show the bar and take over Ctrl-C."""
        self._previous = signal.signal(signal.SIGINT, self._interrupt)
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Give the terminal and Ctrl-C back."""
        self._bar.stop()
        signal.signal(signal.SIGINT, self._previous)

    def _interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        self._interrupted = True

    def report(self, step: int, row: Row | None) -> bool:
        """Show ``step`` and ``row``; False where training is to stop."""
        self._bar.update(self._task, completed=step)
        if row is not None:
            self._console.print(
                f"step {row.step} ({row.crops:,} crops, {row.minutes:.1f} min): "
                f"loss {row.loss:.4f}, {row.psnr_db:.2f} dB (curve {row.curve_psnr_db:.2f}), "
                f"clipped {row.clipped_psnr_db:.2f} dB (curve {row.curve_clipped_psnr_db:.2f})",
                highlight=False,
            )
        return not self._interrupted
