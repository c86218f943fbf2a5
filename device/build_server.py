"""Build the native RPC server: `python device/build_server.py --target android-arm64`."""

from __future__ import annotations

import compile.support.early_interruption  # noqa: F401

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from compile.support.cli import OUTPUT, run_command, stderr
from compile.support.outputs import check_output_files
from compile.support.progress import Progress


@dataclass(frozen=True)
class Options:
    """Build the RPC server for a board or phone that has no Python: one static file, to be pushed.

    It takes a tuner's kernels and times them, as device/serve.py does with Python. Its own --help
    says how it is started.

    Attributes:
        target: What it shall run on: any target whose processor is the device's.
        output: File to write.
    """

    target: str = "host"
    output: Annotated[Path, OUTPUT] = Path("mqnet-rpc-server")


def main() -> None:
    """Entry point of `mqnet-build-server` and of `python device/build_server.py`."""
    run_command(Options, _build_and_say_where)


def _build_and_say_where(options: Options) -> None:
    from compile.codegen.standalone.machine import architecture
    from compile.support.build_cache import user_cache
    from device.server.native.build_server import build_native_server, source_files
    from targets.load_target import is_path, load_target

    arch = architecture(load_target(options.target).machine)
    own = [Path(options.target)] if is_path(options.target) else []
    check_output_files([options.output], [*source_files(), *own])
    progress = Progress(stderr)
    with progress.phase("compiling for " + arch):
        build_native_server(arch, options.output, user_cache(os.environ))
    progress.say(f"built: {options.output}")


if __name__ == "__main__":
    main()
