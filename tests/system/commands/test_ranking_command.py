"""How alike two figures rank candidates, and cycles by llvm-mca."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import Command, check_sentence

from bench.ranking.llvm_mca import block_cycles, find_analyzer
from bench.ranking.measure import x86_timing
from bench.ranking.ranked import RankedCandidate, Ranking
from compile.support.errors import TargetError

#: add x0, x1, x2; and sdot v0.4s, v1.16b, v2.16b.
ADD, SDOT = (0x8B020020).to_bytes(4, "little"), (0x4E829420).to_bytes(4, "little")


def candidate(kernel: str, choice: str, cycles: float, count: int, reference: float):
    return RankedCandidate("t", kernel, "conv", choice, cycles, cycles, count, reference)


@pytest.fixture
def ranking() -> Ranking:
    """Of the first kernel the model has the order, of the second the opposite of it."""
    rows = [candidate("a", f"a{n}", 10 + n, 100 - n, 2.0 + n) for n in range(6)]
    rows += [candidate("b", f"b{n}", 10 - n, 50, 1.0 + n) for n in range(5)]
    rows += [candidate("few", "only", 1, 1, 1.0)]
    return Ranking("t", "a clock", rows)


def test_spearman_by_kernel(ranking: Ranking) -> None:
    assert ranking.spearman() == {"a": pytest.approx(1), "b": pytest.approx(-1)}
    assert ranking.spearman("instructions") == {"a": pytest.approx(-1), "b": 0}
    summary = ranking.summary()
    assert summary["spearman_median"] == pytest.approx(0)
    assert summary["spearman_worst"] == pytest.approx(-1)
    assert (summary["kernels"], summary["candidates"]) == (3, 12)


def test_regret_is_what_the_models_choice_costs(ranking: Ranking) -> None:
    assert ranking.regret() == {"a": 1.0, "b": pytest.approx(5.0), "few": 1.0}


class Analyzer:
    """Ten cycles for any block."""

    def cycles(self, blocks: dict[bytes, int], cpu: str) -> dict[bytes, float]:
        return dict.fromkeys(blocks, 10.0)


def test_rare_blocks_are_not_simulated() -> None:
    blocks = {ADD: 1000, SDOT * 3: 1}
    assert block_cycles(Analyzer(), blocks, "any", 0.01) == 1000 * 10 + 3
    assert block_cycles(Analyzer(), blocks, "any", 0.0) == 1001 * 10


def test_no_analyzer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TargetError, match=r"no llvm-mca .*apt-get install llvm-19"):
        find_analyzer()


def test_llvm_mca_knows_the_cores() -> None:
    try:
        analyzer = find_analyzer()
    except TargetError as error:
        pytest.skip(str(error))
    cycles = {cpu: analyzer.cycles([SDOT * 8, ADD], cpu) for cpu in ("cortex-a55", "cortex-x2")}
    # A chain of eight sums on either; an addition is issued beside others.
    assert cycles["cortex-a55"][SDOT * 8] > cycles["cortex-x2"][SDOT * 8] > 7
    assert cycles["cortex-x2"][ADD] < 1.5


def test_figures_of_the_x86_core_can_be_read() -> None:
    assert x86_timing().l1d.size_bytes == 48 << 10


@pytest.mark.parametrize(
    ("options", "parts"),
    [
        ((), ("nothing to rank", "--target", "--host")),
        (("--target", "cortex-a67"), ("cortex-a67", "cortex-a76")),
        (("--host", "--candidates", 4), ("candidates 4", "5 or more")),
        (("--host", "--kernels", 0), ("kernels 0",)),
    ],
)
def test_mistakes(here: Command, options: tuple, parts: tuple[str, ...]) -> None:
    check_sentence(here("bench/emulator_ranking", *options), *parts)
