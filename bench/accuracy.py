"""Picture quality of every scheme on held-out scenes, in PyTorch and compiled; of any network how
far each scheme is from its float32."""

from __future__ import annotations

import compile.support.early_interruption  # noqa: F401

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, cast

from compile.networks.mqnet.attention_names import AttentionName
from compile.quantize.schemes import SCHEMES, SchemeName
from compile.support.cli import OUT, run_command, set_up_logging, stderr

_FOLDER = Path("build/accuracy")
_MQNET = "mqnet"
_USUAL_SIDE = 256


@dataclass(frozen=True)
class Options:
    """Measure picture quality on the 24 held-out pairs, and with --flat on ten flat photographs
    through five cameras in three exposures: tone mappers, then each scheme in PyTorch and compiled
    for this machine, which must agree to 0.1 dB.

    Of another network than MQNet there is no HDR reference: the dB are against its own float32.

    Writes accuracy.csv and, of MQNet, photographs.csv, strips.png (every scheme), stops.png (the
    last one as it is, two and four stops darker), of several attentions ranking.csv (their order,
    and how sure it is) and, with --flat, worst.png: the photographs that come out worst beside
    inverting sRGB's curve.
    """

    network: str = _MQNET
    """Network to measure: a name, FILE.py:FUNCTION or a file (python compile/build.py --network
    help)."""

    # Its keys are exactly those names; a test holds them to it.
    schemes: tuple[SchemeName, ...] = cast("tuple[SchemeName, ...]", tuple(SCHEMES))
    """Quantization schemes to measure; all that the network has weights for unless given."""

    attentions: tuple[AttentionName, ...] = ("ca",)
    """Attentions to measure, of MQNet."""

    checkpoint: Path | None = None
    """Weights (.safetensors) of the one attention measured, or of the network; its own unless
    given."""

    strips: tuple[str, ...] = ()
    """Pairs to draw, such as forest-0; all unless given."""

    flat: Path | None = None
    """Folder with the flat photographs of the second test set, from `python compile/scenes.py
    fetch`; it is left out unless given. Of MQNet."""

    size: str | None = None
    """Height and width of another network than MQNet; 256x256 unless given, or the only one that it
    takes."""

    head: str | None = None
    """As of compile/build.py, of a network of your own."""

    calibrate: Path | None = None
    """Folder of photographs to choose scales on and to measure on; those that come with the project
    for tests are measured on unless given."""

    out: Annotated[Path | None, OUT] = None
    """Folder to write to, artefacts are built below it; a new one below build/accuracy, named after
    the time, unless given."""

    json: bool = False
    """Print the rows as JSON to stdout instead of a table."""


def main() -> None:
    """Entry point of `python bench/accuracy.py`."""
    run_command(Options, _measure)


def _measure(options: Options) -> None:
    set_up_logging(verbose=False)
    # torch and TVM take seconds to import: only once the options are known to be sound.
    from compile.support.errors import MqnetError
    from compile.support.outputs import check_output_folder, new_path

    is_ours = options.network == _MQNET
    given = {"size": options.size, "head": options.head, "calibrate": options.calibrate}
    others = {
        "strips": options.strips,
        "attentions": options.attentions != ("ca",),
        "flat": options.flat,
    }
    for name, value in (given if is_ours else others).items():
        if value:
            raise MqnetError(f"network {options.network} has no {name} here: leave --{name} out")
    out = options.out or new_path(_FOLDER, f"{datetime.now():%Y%m%d-%H%M%S}")
    written: tuple[str, ...] = ("accuracy.csv",)
    if is_ours:
        written += ("photographs.csv", "ranking.csv", "strips.png", "stops.png", "worst.png")
    check_output_folder(out, written, [options.checkpoint, options.flat])
    rows = _rows_of_mqnet(options, out) if is_ours else _rows_of_network(options, out)
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    print(out)


def _rows_of_mqnet(options: Options, out: Path) -> list[dict[str, Any]]:
    from bench.quality.measure_accuracy import AccuracyRequest, check_agreement, measure_accuracy
    from bench.quality.print_accuracy import print_accuracy, print_ranking
    from compile.support.progress import Progress

    request = AccuracyRequest(
        options.schemes,
        options.attentions,
        options.checkpoint,
        options.strips,
        options.flat,
        out,
    )
    measured = measure_accuracy(request, Progress(stderr))
    if not options.json:
        print_accuracy(measured.rows)
        if measured.ranking:
            print_ranking(measured.ranking)
    check_agreement(measured.rows)
    return measured.rows


def _rows_of_network(options: Options, out: Path) -> list[dict[str, Any]]:
    from bench.quality.network_accuracy import NetworkAccuracyRequest, measure_network_accuracy
    from bench.quality.print_accuracy import print_network_accuracy
    from compile.build_request import parse_size
    from compile.networks.registry import find_network
    from compile.support.progress import Progress

    calibrate = None if options.calibrate is None else str(options.calibrate)
    network = find_network(options.network, {"head": options.head, "calibrate": calibrate})
    size = network.size or network.fitting_size(_USUAL_SIDE, _USUAL_SIDE)
    if options.size is not None:
        size = parse_size(options.size, network)
    schemes: tuple[str, ...] = options.schemes
    if schemes == tuple(SCHEMES):
        schemes = tuple(name for name, scheme in SCHEMES.items() if not scheme.fine_tuned)
        schemes = (network.scheme,) if network.scheme else schemes
    request = NetworkAccuracyRequest(
        network, schemes, size, options.checkpoint, options.calibrate is not None, out
    )
    rows = measure_network_accuracy(request, Progress(stderr))
    stderr.print(
        f"{network.title} has no HDR references: dB are against its own float32, mean and least"
    )
    if not options.json:
        print_network_accuracy(rows)
    return rows


if __name__ == "__main__":
    main()
