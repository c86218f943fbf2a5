"""Check a build by the test vector that it carries: here, on a device, or on a GPU."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

from compile.support.cli import run_command, set_up_logging, stderr

_WRONG = 1


@dataclass(frozen=True)
class Options:
    """Check a build by the test vector that it carries: every kernel of a frame has to compute what
    it computes without its schedule, and every weight has to be what it was. Exit code 1, and the
    name of the first wrong part, where something is wrong.

    Examples:
    python compile/check.py build/host-mixed-ca-768x1280
    python compile/check.py build/linux-arm64-mixed-ca-768x1280 --tracker 127.0.0.1:9190 --key board
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


def main() -> None:
    """Entry point of `mqnet-check` and of `python compile/check.py`."""
    run_command(Options, _check)


def _check(options: Options) -> None:
    set_up_logging(verbose=False)
    from compile.support.build_cache import user_cache
    from compile.support.progress import Progress
    from compile.support.quick_start import import_tvm_alone
    from device.client.address import device_address

    device = device_address(options.tracker, options.key)
    import_tvm_alone()
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


if __name__ == "__main__":
    main()
