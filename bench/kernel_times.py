"""Where the time of a frame goes: kernel by kernel, beside what the machine can do."""

from __future__ import annotations

import compile.support.early_interruption  # noqa: F401

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from compile.support.cli import run_command, set_up_logging, stderr


@dataclass(frozen=True)
class Options:
    """Time every kernel of an artefact on one core or a GPU: the layer of the network that it
    computes, its share of the frame, multiply-accumulates per second, and share of the core's peak
    at the clock that it really has.

    Example: python bench/kernel_times.py build/host-mixed-ca-768x1280 --plot roofline.png

    On a device (docs/devices.md): python bench/kernel_times.py build/linux-mali-mixed-ca-768x1280
    --tracker 127.0.0.1:9190 --key my-board
    """

    artefact: tyro.conf.Positional[Path]
    """Folder of a build for this machine, or for the device."""

    frames: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 20
    """Timed frames, after 3 that are not."""

    rows: int = 15
    """Rows of the table; the JSON has all."""

    litert: bool = False
    """Also the kernels of LiteRT's network of the same scheme, as it times them itself; on this
    machine only."""

    tracker: str | None = None
    """HOST:PORT of a TVM tracker, to time a device that device/serve.py has registered there."""

    key: str | None = None
    """Name that the tracker knows the device by."""

    plot: Path | None = None
    """PNG to write: each kernel's speed over its arithmetic intensity, under the rooflines."""

    json: bool = False
    """Print all calls as JSON to stdout instead of a table; bench/report.py --kernels takes it."""


def main() -> None:
    """Entry point of `python bench/kernel_times.py`."""
    run_command(Options, _time)


def _time(options: Options) -> None:
    set_up_logging(verbose=False)
    # torch and TVM take seconds to import: only once the options are known to be sound.
    from bench.page.roofline import multiplies, plot_endings, write_roofline
    from bench.profiling.print_kernels import print_kernels
    from bench.profiling.time_kernels import time_kernels
    from compile.artefact.reader import open_artefact
    from compile.support.errors import MqnetError
    from compile.support.outputs import check_output_files, check_written_last
    from compile.support.progress import Progress
    from device.client.address import device_address

    if options.plot is not None:
        check_output_files([options.plot], [options.artefact], plot_endings())
        check_written_last(options.plot)
        if not multiplies(open_artefact(options.artefact).manifest.kernels):
            raise MqnetError(
                f"no kernel call of {options.artefact} multiplies, so there is no roofline: leave "
                "--plot out"
            )
    kernels = time_kernels(
        options.artefact,
        options.frames,
        device_address(options.tracker, options.key),
        Progress(stderr),
        litert=options.litert,
    )
    if options.plot is not None:
        write_roofline(kernels, options.plot)
    if options.json:
        print(kernels.as_json())
    else:
        print_kernels(kernels, options.rows)


if __name__ == "__main__":
    main()
