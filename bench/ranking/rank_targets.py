"""Everything that ``bench/emulator_ranking.py`` does once its options are read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from bench.ranking.measure import (
    RankingRequest,
    rank_against_llvm_mca,
    rank_against_this_machine,
)
from bench.ranking.plot import ranking_figure
from bench.ranking.ranked import Ranking
from compile.build_network import quantized_program
from compile.build_request import BuildRequest
from compile.support.atomic import atomic_path, make_folder
from compile.support.build_cache import user_cache
from compile.support.check_positive import check_positive
from compile.support.errors import MqnetError
from compile.support.progress import Progress
from device.emulated.arm64.command import check_board
from targets.load_target import load_target

NOTE = "cycles of an EMULATED board: a model of a core, not times of any"


def rank_targets(
    targets: Sequence[str], host: bool, request: RankingRequest, phases: Progress
) -> list[Ranking]:
    """Rank the candidates of ``request`` for each of ``targets``, and for this machine with
    ``host``.

    Raises:
        MqnetError: nothing to rank, too little of it, no board, or no llvm-mca.
    """
    if not targets and not host:
        raise MqnetError("nothing to rank: give --target, such as cortex-a76, or --host")
    check_positive(kernels=request.kernels)
    if request.candidates < 5:
        raise MqnetError(f"candidates {request.candidates} are too few to rank: give 5 or more")

    for name in targets:
        load_target(name)
        check_board(request.emulated_root)
    with phases.phase("quantize"):
        program = quantized_program(BuildRequest("host", size=request.size), user_cache(os.environ))
    rankings = []
    for name in dict.fromkeys(targets):
        phases.say(name)
        rankings.append(rank_against_llvm_mca(name, request, phases, program))
    if host:
        phases.say("host")
        rankings.append(rank_against_this_machine(request, phases, program))
    return rankings


def write_rankings(rankings: Sequence[Ranking], folder: Path) -> None:
    """Write ranking.csv and ranking.png to ``folder``.

    Raises:
        OutputError: they cannot be written.
    """
    make_folder(folder)
    rows = [row for one in rankings for row in one.as_json()["rows"]]
    with atomic_path(folder / "ranking.csv") as path:
        pd.DataFrame(rows).to_csv(path, index=False, float_format="%.6g")
    with atomic_path(folder / "ranking.png") as path:
        ranking_figure(rankings).savefig(path, dpi=90)
