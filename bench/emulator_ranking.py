"""How well the emulated board's cycles rank candidates of a tuning session."""

from __future__ import annotations

import compile.support.early_interruption  # noqa: F401

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from compile.support.cli import OUT, run_command, set_up_logging, stderr


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
    """Ways to cut each, the default configuration among them."""

    out: Annotated[Path | None, OUT] = None
    """Folder for ranking.csv and ranking.png."""

    json: bool = False
    """Print everything as JSON to stdout instead of a table."""


def main() -> None:
    """Entry point of `python bench/emulator_ranking.py`."""
    run_command(Options, _rank)


def _rank(options: Options) -> None:
    set_up_logging(verbose=False)
    # torch and TVM take seconds to import: only once the options are known to be sound.
    from bench.ranking.measure import RankingRequest
    from bench.ranking.print_rankings import print_rankings
    from bench.ranking.rank_targets import NOTE, rank_targets, write_rankings
    from compile.build_request import parse_size
    from compile.support.outputs import check_output_folder
    from compile.support.progress import Progress
    from device.emulated.arm64.make_root import default_root

    if options.out is not None:
        check_output_folder(options.out)
    request = RankingRequest(
        parse_size(options.size), options.kernels, options.candidates, default_root(os.environ)
    )
    rankings = rank_targets(options.target, options.host, request, Progress(stderr))
    if options.out is not None:
        write_rankings(rankings, options.out)
    if options.json:
        told = {"note": NOTE, "rankings": [one.as_json() for one in rankings]}
        print(json.dumps(told, indent=1))
    else:
        print_rankings(rankings)


if __name__ == "__main__":
    main()
