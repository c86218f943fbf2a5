"""Check a build by the test vector that it carries: here, on a device, or on a GPU."""

from __future__ import annotations

import compile.support.early_interruption  # noqa: F401

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from compile.support.cli import run_command, set_up_logging, stderr
from compile.support.errors import MqnetError

if TYPE_CHECKING:
    from device.client.address import DeviceAddress

_WRONG = 1


@dataclass(frozen=True)
class Options:
    """Check a build by the test vector that it carries: every kernel of a frame has to compute what
    it computes without its schedule, and every weight has to be what it was. Exit code 1, and the
    name of the first wrong part, where something is wrong.

    Examples:
    python compile/check.py build/host-mixed-ca-768x1280
    python compile/check.py build/linux-arm64-mixed-ca-768x1280 --tracker 127.0.0.1:9190 --key board
    python compile/check.py build/host-mixed-ca-768x1280 --layers
    """

    artefact: tyro.conf.Positional[Path]
    """Folder that compile/build.py has written."""

    tracker: str | None = None
    """HOST:PORT of a TVM tracker, to check on a device that device/serve.py has registered
    there."""

    key: str | None = None
    """Name that the tracker knows the device by."""

    threads: int | None = None
    """Threads per frame, at most the number that was built for, which it is unless given."""

    seconds: float = 300.0
    """Longest that a frame may take: a kernel that does not end is wrong."""

    json: bool = False
    """Print what was found as JSON to stdout."""

    layers: bool = False
    """Say where the accuracy goes: compare every tensor with PyTorch's, in float32 and
    fake-quantized. Exit code 1 where a kernel computes something else than the latter."""

    histogram: tuple[str, Path] | None = None
    """With --layers: a tensor or a module, as the table names it, and a PNG file, into which the
    histograms of its values are drawn."""

    failing: Path = Path("failing-call")
    """With --layers: folder for a kernel call that is wrong: its inputs, and a script that runs it
    alone."""

    checkpoint: Path | None = None
    """With --layers: the weights that were built with, where they are not the network's own."""

    recipe: Path | None = None
    """With --layers: the recipe that was built with."""


def main() -> None:
    """Entry point of `mqnet-check` and of `python compile/check.py`."""
    run_command(Options, _check)


def _check(options: Options) -> None:
    set_up_logging(verbose=False)
    from compile.support.build_cache import user_cache
    from compile.support.progress import Progress
    from compile.support.quick_start import import_tvm_alone
    from device.client.address import device_address

    for name in ("histogram", "checkpoint", "recipe"):
        if getattr(options, name) is not None and not options.layers:
            raise MqnetError(f"--{name} is for the layers of a build: give --layers with it")
    device = device_address(options.tracker, options.key)
    import_tvm_alone()
    if options.layers:
        return _check_layers(options, device)
    from device.client.check_artefact import check_artefact
    from device.client.print_check import print_check

    report = check_artefact(
        options.artefact,
        device,
        options.threads,
        options.seconds,
        user_cache(os.environ),
        Progress(stderr),
    )
    if options.json:
        print(json.dumps(report.as_json(), indent=2))
    else:
        print_check(options.artefact, report)
    if report.wrong is not None:
        sys.exit(_WRONG)


def _check_layers(options: Options, device: DeviceAddress | None) -> None:
    from compile.support.outputs import check_output_files, check_written_last
    from compile.support.progress import Progress
    from device.client.layers.check_layers import LayerRequest, check_layers
    from device.client.layers.print_layers import print_layers

    if options.histogram is not None:
        _, picture = options.histogram
        inputs = [options.artefact, options.checkpoint, options.recipe]
        check_output_files([picture], inputs, [".png"])
        check_written_last(picture)
    request = LayerRequest(
        options.artefact,
        device,
        options.threads,
        options.seconds,
        options.checkpoint,
        options.recipe,
        options.histogram,
        options.failing,
    )
    report = check_layers(request, Progress(stderr))
    if options.json:
        print(json.dumps(report.as_json(), indent=2))
    else:
        print_layers(options.artefact, report)
    if report.failed or report.first_off is not None:
        sys.exit(_WRONG)


if __name__ == "__main__":
    main()
