"""The progress of a training, and Ctrl-C between two steps."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from rich.console import Console

from compile.support.progress import Progress
from compile.training.log import Row
from compile.training.plan import TrainingPlan

#: Told the steps that are done and a new row of the log; answers False where training is to stop.
Report = Callable[[int, Row | None], bool]


@contextmanager
def shown_training(console: Console, plan: TrainingPlan) -> Iterator[Report]:
    """Show the steps that are done, and a line for each row of the log.

    Ctrl-C inside of the ``with`` stops training after the step under way, so that the state that
    is saved is a whole one.
    """
    progress, interrupted = Progress(console), False

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        nonlocal interrupted
        interrupted = True

    previous = signal.signal(signal.SIGINT, interrupt)
    try:
        with progress.count("steps", plan.steps) as steps:

            def report(step: int, row: Row | None) -> bool:
                steps.advance(step - steps.done)
                if row is not None:
                    progress.say(
                        f"step {row.step} ({row.crops:,} crops, {row.minutes:.1f} min): loss "
                        f"{row.total:.4f}, {row.psnr_db:.2f} dB (curve {row.curve_psnr_db:.2f}), "
                        f"clipped {row.clipped_psnr_db:.2f} dB "
                        f"(curve {row.curve_clipped_psnr_db:.2f}), "
                        f"plain {row.plain_psnr_db:.2f} dB (sRGB {row.srgb_psnr_db:.2f})"
                    )
                return not interrupted

            yield report
    finally:
        signal.signal(signal.SIGINT, previous)
