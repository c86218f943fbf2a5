"""Make the emulated arm64 board: `python device/make_board.py [ROOT]`."""

from __future__ import annotations

import compile.support.early_interruption  # noqa: F401

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import tyro

from compile.support.cli import run_command, stderr
from compile.support.outputs import check_replaced_folder
from compile.support.progress import make_shown


@dataclass(frozen=True)
class Options:
    """Make the emulated arm64 board that tests and tuning run on.

    Attributes:
        root: Folder to make; the default is in the user's cache.
        sources: A sources.list to use instead of this machine's own. Ubuntu keeps arm64 packages
            in another archive than amd64 ones, so there it has to name that one.
    """

    root: Annotated[Path | None, tyro.conf.Positional] = None
    sources: Path | None = None


def main() -> None:
    """Entry point of `mqnet-make-board` and of `python device/make_board.py`."""
    run_command(Options, _make_board)


def _make_board(options: Options) -> None:
    from device.emulated.arm64.make_root import default_root, make_root

    root = options.root or default_root(os.environ)
    check_replaced_folder(root, [options.sources])
    make_shown(root, stderr, partial(make_root, root, options.sources))


if __name__ == "__main__":
    main()
