"""Shows on a terminal which phase of a build is running, and how long each took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console


class PhaseProgress:
    """Reports named phases; on a terminal with a spinner, in a log one line each.

    Attributes:
        seconds: how long each finished phase took, by its name.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Everything inside is phase ``name``."""
        start = time.perf_counter()
        with self._console.status(name):
            yield
        self.seconds[name] = time.perf_counter() - start
        self._console.print(f"  {name:<44}{self.seconds[name]:7.1f} s", highlight=False)
