"""A progress bar over the steps in which a folder is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


def show_steps(
    name: str, folder: Path, steps: Sequence[str], make: Callable[[Callable[[str], None]], bool]
) -> None:
    """Calls ``make`` with what it has to call as each of ``steps`` begins, shows them on stderr,
    and says where ``folder`` is; ``make`` answers whether it was made anew."""
    console = Console(stderr=True)
    columns = SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(name, total=len(steps))
        made = make(
            lambda step: progress.update(task, description=step, completed=steps.index(step))
        )
        progress.update(task, description=name, completed=len(steps))
    console.print(f"{'made' if made else 'is current'}: {folder}", soft_wrap=True)
