"""How well the emulated board's cycles rank candidates of a tuning session."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from compile.support.cli import run_command, set_up_logging, stderr

if TYPE_CHECKING:
    from bench.ranking.ranked import Ranking

_NOTE = "cycles of an EMULATED board: a model of a core, not times of any"


@dataclass(frozen=True)
class Options:
    """Rank ways to cut the network's costliest kernels by the emulated board's model, as a tuning
    session with --emulate does, and hold the order against llvm-mca's simulation of the core; or,
    with --host, the same method with an x86 core's figures against the time that this machine
    takes. Spearman's rank correlation for each kernel: 1 is the same order, 0 is none.

    Example: python bench/emulator_ranking.py --target cortex-a76 --host --out ranking/
    """

    target: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Arm64 machine to hold against llvm-mca; may be repeated."""

    host: bool = False
    """Also hold AVX2 code, counted under qemu-x86_64, against this machine's clock."""

    size: str = "256x256"
    """Height x width of the picture in pixels."""

    kernels: int = 10
    """How many of the network's kernels."""

    candidates: int = 24
    """Ways to cut each, the built-in one among them."""

    out: Path | None = None
    """Folder for ranking.csv and ranking.png."""

    json: bool = False
    """Print everything as JSON to stdout instead of a table."""


def main() -> None:
    """Entry point of `python bench/emulator_ranking.py`."""
    run_command(Options, _rank)


def _rank(options: Options) -> None:
    set_up_logging(verbose=False)
    from compile.support.errors import MqnetError

    if not options.target and not options.host:
        raise MqnetError("nothing to rank: give --target, such as cortex-a76, or --host")
    if options.kernels < 1:
        raise MqnetError(f"kernels {options.kernels} is not a positive number")
    if options.candidates < 5:
        raise MqnetError(f"candidates {options.candidates} are too few to rank: give 5 or more")
    rankings = _rankings(options)
    if options.out is not None:
        _write(rankings, options.out)
    if options.json:
        print(
            json.dumps({"note": _NOTE, "rankings": [one.as_json() for one in rankings]}, indent=1)
        )
    else:
        _print(rankings)


def _rankings(options: Options) -> list[Ranking]:
    import os

    from bench.ranking.measure import (
        RankingRequest,
        rank_against_llvm_mca,
        rank_against_this_machine,
    )
    from compile.build_network import BuildRequest, parse_size, quantized_program
    from compile.support.progress import Progress
    from device.emulated.arm64.command import check_board
    from device.emulated.arm64.make_root import default_root
    from targets.load_target import load_target

    root, size = default_root(os.environ), parse_size(options.size)
    for name in options.target:
        load_target(name)
        check_board(root)
    request = RankingRequest(size, options.kernels, options.candidates, root)
    phases = Progress(stderr)
    with phases.phase("quantize"):
        program = quantized_program(BuildRequest("host", size=size))
    rankings = []
    for name in dict.fromkeys(options.target):
        phases.say(name)
        rankings.append(rank_against_llvm_mca(name, request, phases, program))
    if options.host:
        phases.say("host")
        rankings.append(rank_against_this_machine(request, phases, program))
    return rankings


def _write(rankings: list[Ranking], folder: Path) -> None:
    import pandas as pd

    from bench.ranking.plot import ranking_figure
    from compile.support.atomic import atomic_path, make_folder

    make_folder(folder)
    rows = [row for one in rankings for row in one.as_json()["rows"]]
    with atomic_path(folder / "ranking.csv") as path:
        pd.DataFrame(rows).to_csv(path, index=False, float_format="%.6g")
    with atomic_path(folder / "ranking.png") as path:
        ranking_figure(rankings).savefig(path, dpi=90)


def _print(rankings: list[Ranking]) -> None:
    from rich.console import Console
    from rich.table import Table

    for ranking in rankings:
        summary, by_count = ranking.summary(), ranking.spearman("instructions")
        table = Table(
            title=f"{ranking.target} against {ranking.reference}: {_NOTE}",
            caption=f"median {summary['spearman_median']:.2f}, of instructions alone "
            f"{summary['spearman_of_instructions_median']:.2f}; what the model would choose takes "
            f"{summary['regret_median']:.2f} times as long as the best (median)",
            title_justify="left",
        )
        table.add_column("kernel")
        table.add_column("family")
        for column in ("candidates", "Spearman", "of instructions", "chosen / best"):
            table.add_column(column, justify="right")
        regret, by_model = ranking.regret(), ranking.spearman()
        for kernel, candidates in ranking.kernels().items():
            table.add_row(
                kernel,
                candidates[0].family,
                str(len(candidates)),
                f"{by_model[kernel]:.2f}" if kernel in by_model else "",
                f"{by_count[kernel]:.2f}" if kernel in by_count else "",
                f"{regret[kernel]:.2f}",
            )
        Console(width=120).print(table)


if __name__ == "__main__":
    main()
