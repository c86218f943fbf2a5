"""Picture quality of every scheme on held-out scenes, in PyTorch and compiled."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from compile.networks.mqnet.attention_names import AttentionName
from compile.quantize.schemes import SCHEMES, SchemeName
from compile.support.cli import run_command, set_up_logging, stderr

if TYPE_CHECKING:
    from bench.quality.evaluate import Result

_LARGEST_DISAGREEMENT_DB = 0.1


@dataclass(frozen=True)
class Options:
    """Measure picture quality on the 24 held-out pairs: tone mappers, then each scheme in PyTorch
    and compiled for this machine, which must agree to 0.1 dB.

    Writes accuracy.csv and strips.png.
    """

    schemes: tuple[SchemeName, ...] = tuple(SCHEMES)
    """Quantization schemes to measure."""

    attentions: tuple[AttentionName, ...] = ("ca",)
    """Attentions to measure."""

    checkpoint: Path | None = None
    """Weights (.safetensors) of the one attention measured; the bundled ones unless given."""

    strips: tuple[str, ...] = ()
    """Pairs to draw in strips.png, such as forest-0; all unless given."""

    out: Path = Path("build/accuracy")
    """Folder to write to; artefacts are built below it."""

    json: bool = False
    """Print the rows as JSON to stdout instead of a table."""


def main() -> None:
    """Entry point of `python bench/accuracy.py`."""
    run_command(Options, _measure)


def _measure(options: Options) -> None:
    set_up_logging(verbose=False)
    import pandas as pd
    import torch

    from bench.quality.evaluate import evaluate_network, evaluate_tone_mappers, request_for
    from bench.quality.strips import draw_strips
    from compile.support.atomic import make_folder, write_atomically
    from compile.support.errors import MqnetError
    from compile.support.progress import Progress
    from compile.training.held_out import held_out_pairs

    pairs = held_out_pairs()
    for name in options.strips:
        if name not in pairs:
            raise MqnetError(f"there is no held-out pair {name!r}: choose of {', '.join(pairs)}")
    drawn = {name: pair for name, pair in pairs.items() if name in (options.strips or pairs)}
    make_folder(options.out)
    torch.set_num_threads(1)
    results: list[Result] = []
    progress = Progress(stderr)
    with progress.phase("tone mappers"):
        results += evaluate_tone_mappers(list(pairs.values()))
    for attention in options.attentions:
        for scheme in options.schemes:
            progress.say(f"{attention}, {scheme}")
            folder = options.out / f"{attention}-{scheme}"
            request = request_for(scheme, attention, options.checkpoint, folder)
            results += evaluate_network(request, list(pairs.values()), progress)
    rows = [_row(result, results) for result in results]
    write_atomically(options.out / "accuracy.csv", pd.DataFrame(rows).to_csv(index=False).encode())
    compiled = {
        f"{result.attention} {result.scheme}": [
            light for name, light in zip(pairs, result.lights, strict=True) if name in drawn
        ]
        for result in results
        if result.engine == "tvm"
    }
    draw_strips(options.out / "strips.png", drawn, compiled, list(compiled)[-1])
    if options.json:
        print(json.dumps(rows, indent=2))
    else:
        _print_table(rows)
    _check_agreement(rows)


def _row(result: Result, results: list[Result]) -> dict:
    import numpy as np

    from bench.quality.evaluate import against_float32

    row = result.row()
    agreement = against_float32(result, results)
    for name, choose in (("fp32_psnr_db", np.mean), ("least_fp32_psnr_db", np.min)):
        row[name] = None if agreement is None else float(choose(agreement))
    return row


def _print_table(rows: list[dict]) -> None:
    from rich.console import Console
    from rich.table import Table

    from bench.quality.metrics import METRICS

    table = Table()
    for column in ("engine", "scheme", "attention"):
        table.add_column(column, no_wrap=True)
    for column in (
        *(m.title for m in METRICS.values()),
        "clipped mu-PSNR dB",
        "against fp32 dB",
        "weights kB",
    ):
        table.add_column(column, justify="right")
    for row in rows:
        size, agreement = row["weight_bytes"], row["fp32_psnr_db"]
        table.add_row(
            *(row[name] for name in ("engine", "scheme", "attention")),
            *(f"{row[name]:.{metric.decimals}f}" for name, metric in METRICS.items()),
            f"{row['clipped_mu_psnr_db']:.2f}",
            "" if agreement is None else f"{agreement:.1f}",
            "" if size is None else f"{size / 1e3:,.0f}",
        )
    Console(width=130).print(table)


def _check_agreement(rows: list[dict]) -> None:
    """Raise where a compiled network differs from its PyTorch reference."""
    by_engine = {(r["engine"], r["attention"], r["scheme"]): r["mu_psnr_db"] for r in rows}
    for (engine, *network), compiled in by_engine.items():
        difference = compiled - by_engine[("pytorch", *network)] if engine == "tvm" else 0.0
        if abs(difference) > _LARGEST_DISAGREEMENT_DB:
            raise RuntimeError(
                f"compiled {' '.join(network)} differs from PyTorch by {difference:+.2f} dB"
                ": the compiler is wrong"
            )


if __name__ == "__main__":
    main()
