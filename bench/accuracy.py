"""Picture quality of every scheme on held-out scenes, in PyTorch and compiled."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import cast

from compile.networks.mqnet.attention_names import AttentionName
from compile.quantize.schemes import SCHEMES, SchemeName
from compile.support.cli import run_command, set_up_logging, stderr

_FOLDER = Path("build/accuracy")


@dataclass(frozen=True)
class Options:
    """Measure picture quality on the 24 held-out pairs: tone mappers, then each scheme in PyTorch
    and compiled for this machine, which must agree to 0.1 dB.

    Writes accuracy.csv and strips.png.
    """

    # Its keys are exactly those names; a test holds them to it.
    schemes: tuple[SchemeName, ...] = cast("tuple[SchemeName, ...]", tuple(SCHEMES))
    """Quantization schemes to measure."""

    attentions: tuple[AttentionName, ...] = ("ca",)
    """Attentions to measure."""

    checkpoint: Path | None = None
    """Weights (.safetensors) of the one attention measured; the bundled ones unless given."""

    strips: tuple[str, ...] = ()
    """Pairs to draw in strips.png, such as forest-0; all unless given."""

    out: Path | None = None
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
    from bench.quality.measure_accuracy import AccuracyRequest, check_agreement, measure_accuracy
    from bench.quality.print_accuracy import print_accuracy
    from compile.support.outputs import check_output_folder, new_path
    from compile.support.progress import Progress

    out = options.out or new_path(_FOLDER, f"{datetime.now():%Y%m%d-%H%M%S}")
    check_output_folder(out, ("accuracy.csv", "strips.png"), [options.checkpoint])
    request = AccuracyRequest(
        options.schemes, options.attentions, options.checkpoint, options.strips, out
    )
    rows = measure_accuracy(request, Progress(stderr))
    if options.json:
        print(json.dumps(rows, indent=2))
    else:
        print_accuracy(rows)
        print(out)
    check_agreement(rows)


if __name__ == "__main__":
    main()
