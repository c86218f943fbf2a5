"""Fetch Mesa's compiler for Mali: `python device/make_mali_compiler.py [ROOT]`."""

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
    """Fetch Mesa's compiler for Mali GPUs, which runs under qemu-user, from Debian.

    Attributes:
        root: Folder to make; the default is in the user's cache.
        sources: A sources.list to use instead of the archive of this machine's packages.
    """

    root: Annotated[Path | None, tyro.conf.Positional] = None
    sources: Path | None = None


def main() -> None:
    """Entry point of `mqnet-make-mali-compiler` and of `python device/make_mali_compiler.py`."""
    run_command(Options, _make_compiler)


def _make_compiler(options: Options) -> None:
    from device.emulated.mali.make_compiler import default_compiler, make_compiler

    root = options.root or default_compiler(os.environ)
    check_replaced_folder(root, [options.sources])
    make_shown(root, stderr, partial(make_compiler, root, options.sources))


if __name__ == "__main__":
    main()
