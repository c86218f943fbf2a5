"""Rankings as tables on a terminal."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table

from bench.ranking.rank_targets import NOTE
from bench.ranking.ranked import Ranking
from compile.support.tables import print_table


def print_rankings(rankings: Iterable[Ranking]) -> None:
    """Print a table for each of ``rankings`` to stdout."""
    for ranking in rankings:
        summary, by_count = ranking.summary(), ranking.spearman("instructions")
        table = Table(
            title=f"{ranking.target} against {ranking.reference}: {NOTE}",
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
        print_table(table)
