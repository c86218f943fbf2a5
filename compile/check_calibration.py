"""Check whether there are enough photographs to choose the scales of a network on."""

from __future__ import annotations

import compile.support.early_interruption  # noqa: F401

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from compile.networks.given_parameters import given_parameters
from compile.networks.mqnet.attention_names import AttentionName
from compile.quantize.schemes import SchemeName
from compile.support.cli import run_command, set_up_logging, stderr
from compile.support.errors import MqnetError

if TYPE_CHECKING:
    from compile.precision.vary_calibration import CalibrationRow

_MOST_CHOICES = 1000


@dataclass(frozen=True)
class Options:
    """Quantize a network on several choices of its calibration photographs, of one, two, four and
    so on, and say how many dB the outputs have on other photographs: whether more of them would be
    of use, and how much it matters which they are. Warns where there are too few: where other crops
    of all of them change the mean by more than 1 dB.

    Example: python compile/check_calibration.py --network net.py:build --calibrate photos/
    """

    network: str = "mqnet"
    """Network, by name, FILE.py:FUNCTION or a file in float, as of compile/build.py."""

    attention: AttentionName | None = None
    """Attention of MQNet's decoder: channel (unless given), both, spatial or none."""

    head: str | None = None
    """Path of the module of your network that keeps float activations, as of compile/build.py."""

    scheme: SchemeName | None = None
    """Precision: mixed unless given."""

    recipe: Path | None = None
    """TOML file of rules on top of a scheme, as of compile/build.py."""

    calibrate: Path | None = None
    """Folder of photographs on which scales are chosen, as of compile/build.py."""

    photos: Path | None = None
    """Folder of photographs on which dB are measured; those that come with the project for tests
    unless given."""

    size: str | None = None
    """Height x width of the picture in pixels; 256x256 unless given, or what the network takes."""

    checkpoint: Path | None = None
    """Weights (.safetensors); the network's own unless given."""

    choices: int = 6
    """The most choices that are tried of each number of photographs; of one as many as there are,
    of all of them their order, which gives other crops."""

    json: bool = False
    """Print the table as JSON to stdout."""


def main() -> None:
    """Entry point of `mqnet-check-calibration` and of `python compile/check_calibration.py`."""
    run_command(Options, _check)


def _check(options: Options) -> None:
    set_up_logging(verbose=False)
    if not 2 <= options.choices <= _MOST_CHOICES:
        raise MqnetError(f"choices {options.choices} is no number from 2 to {_MOST_CHOICES}")
    # torch and TVM take seconds to import: only once the options are known to be sound.
    from compile.support.quick_start import import_tvm_alone

    # Before PyTorch, whose symbols TVM would read at its first error, of which importing it is one.
    import_tvm_alone()
    from compile.build_request import BuildRequest, parse_size, scheme_of
    from compile.networks.registry import find_network
    from compile.precision.measure_decibels import exact_outputs
    from compile.precision.vary_calibration import (
        check_can_vary,
        plan_choices,
        vary_calibration,
        why_too_few,
    )
    from compile.support.progress import Progress

    parameters = given_parameters(
        options.network, options.attention, options.head, options.calibrate
    )
    network = find_network(options.network, parameters)
    size = network.size or network.fitting_size(256, 256)
    request = BuildRequest(
        target="host",
        scheme=scheme_of(options.scheme, options.recipe, network),
        recipe=options.recipe,
        network=network,
        size=size if options.size is None else parse_size(options.size, network),
        checkpoint=options.checkpoint,
    )
    check_can_vary(request)
    progress = Progress(stderr)
    with progress.phase("float32"):
        exact = exact_outputs(request, options.photos)
    photos = network.calibration_photos()
    plan = plan_choices(len(photos), options.choices)
    with progress.count("choices", len(plan)) as step:
        rows = vary_calibration(request, photos, plan, exact, step)
    reason = why_too_few(rows)
    if options.json:
        table = [row.as_json() for row in rows]
        print(json.dumps({"calibration": table, "too_few": reason}, indent=1))
    else:
        _print(rows)
    if reason:
        stderr.print(f"[yellow]warning:[/] {reason}", soft_wrap=True, highlight=False)


def _print(rows: list[CalibrationRow]) -> None:
    from rich.table import Table

    from compile.support.tables import print_table

    columns = "photographs", "choices", "dB, mean", "least", "most", "spread", "worst photograph"
    table = Table(*columns)
    for row in rows:
        decibels = (row.mean_db, row.least_db, row.most_db, row.spread, row.worst_db)
        table.add_row(str(row.photographs), str(row.choices), *(f"{db:.2f}" for db in decibels))
    print_table(table)


if __name__ == "__main__":
    main()
