"""Every candidate's emulated cycles over what they are held against."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from bench.ranking.ranked import Ranking


def ranking_figure(rankings: Sequence[Ranking]) -> Figure:
    """A panel for each target; both axes relative to the kernel's best candidate."""
    figure = Figure(figsize=(5 * len(rankings), 4.8), layout="constrained")
    panels = figure.subplots(1, len(rankings), squeeze=False)[0]
    for panel, ranking in zip(panels, rankings, strict=True):
        spearman = ranking.spearman()
        for kernel, candidates in ranking.kernels().items():
            best = min(one.reference for one in candidates)
            least = min(one.emulated_cycles for one in candidates)
            panel.loglog(
                [one.reference / best for one in candidates],
                [one.emulated_cycles / least for one in candidates],
                "o",
                alpha=0.6,
                markersize=4,
                label=f"{candidates[0].family} ({spearman.get(kernel, float('nan')):.2f})",
            )
        panel.set(
            title=f"{ranking.target}: EMULATED cycles",
            xlabel=f"{ranking.reference},\nover the kernel's best",
            ylabel="emulated cycles over the kernel's least",
        )
        panel.legend(fontsize=7, title="kernel's family (Spearman)", title_fontsize=7)
    return figure
