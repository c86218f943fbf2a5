"""Build the OpenCL plugin: `python device/build_opencl.py [--machine aarch64]`."""

from __future__ import annotations

import compile.support.early_interruption  # noqa: F401

import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from compile.support.cli import OUTPUT, run_command, stderr
from compile.support.outputs import check_output_files
from compile.support.progress import Progress


@dataclass(frozen=True)
class Options:
    """Build TVM's device "opencl" for the pip wheel; `import tvm` finds it by itself then.

    Attributes:
        machine: What it shall run on; the default is this machine.
        output: File to write; the default is in the user's cache, where TVM finds it.
    """

    machine: Literal["x86_64", "aarch64"] | None = None
    output: Annotated[Path | None, OUTPUT] = None


def main() -> None:
    """Entry point of `mqnet-build-opencl` and of `python device/build_opencl.py`."""
    run_command(Options, _build_and_say_where)


def _build_and_say_where(options: Options) -> None:
    from device.opencl.build_plugin import build_plugin
    from device.opencl.plugin import plugin_path, source_files

    machine = options.machine or platform.machine()
    path = options.output or plugin_path(machine, os.environ)
    check_output_files([path], source_files())
    progress = Progress(stderr)
    with progress.phase(f"compiling {len(source_files())} files"):
        build_plugin(machine, path)
    progress.say(f"built: {path}")


if __name__ == "__main__":
    main()
