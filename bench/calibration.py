"""What each way to choose scales brings: percentile, entropy and squared error beside histograms,
equalization and bias correction."""

from __future__ import annotations

import compile.support.early_interruption  # noqa: F401

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

from compile.quantize.schemes import SchemeName
from compile.support.cli import OUT, run_command, set_up_logging, stderr

_FOLDER = Path("build/calibration")


@dataclass(frozen=True)
class Options:
    """Quantize each network in each way that a recipe's [calibration] may say, and measure how far
    its pictures are from its own float32, on the photographs that come with the project for tests
    and on the held-out pairs, which no method's details were chosen on.

    Writes calibration.csv and calibration.md, row by row.
    """

    networks: tuple[str, ...] = ("mqnet", "unet", "hdrunet", "expandnet")
    """Networks to measure (python compile/build.py --network help)."""

    schemes: tuple[SchemeName, ...] = ()
    """Quantization schemes with int8 activations; int8 and mixed-qat unless given, and of MQNet
    mixed."""

    size: str = "256x256"
    """Height and width of the photographs."""

    out: Annotated[Path | None, OUT] = None
    """Folder to write to; a new one below build/calibration, named after the time, unless given."""

    json: bool = False
    """Print the rows as JSON to stdout instead of a table."""


def main() -> None:
    """Entry point of `python bench/calibration.py`."""
    run_command(Options, _measure)


def _measure(options: Options) -> None:
    set_up_logging(verbose=False)
    # torch takes seconds to import: only once the options are known to be sound.
    from bench.quality.compare_calibrations import (
        CalibrationRequest,
        as_markdown,
        compare_calibrations,
    )
    from compile.build_request import parse_size
    from compile.networks.registry import find_network
    from compile.quantize.schemes import scheme_named
    from compile.support.errors import MqnetError
    from compile.support.outputs import check_output_folder, new_path
    from compile.support.progress import Progress

    for name in options.schemes:
        if not scheme_named(name).calibrates:
            raise MqnetError(f"scheme {name} has no int8 activations: there is nothing to choose")
    networks = [find_network(name, {}) for name in options.networks]
    for network in networks:
        if not network.makes_pictures or network.scheme:
            raise MqnetError(
                f"network {network.title} makes no pictures, or is quantized already: leave it out"
            )
    size = parse_size(options.size, networks[0])
    out = options.out or new_path(_FOLDER, f"{datetime.now():%Y%m%d-%H%M%S}")
    check_output_folder(out, ("calibration.csv", "calibration.md"), [])
    request = CalibrationRequest(networks, options.schemes, size, out)
    rows = compare_calibrations(request, Progress(stderr))
    print(json.dumps(rows, indent=2) if options.json else as_markdown(rows), end="")
    stderr.print(str(out))


if __name__ == "__main__":
    main()
