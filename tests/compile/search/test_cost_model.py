"""The cost model ranks choices that it has not seen, of kernels that it has and has not seen."""

from __future__ import annotations

from math import log

import numpy as np
import pytest
from scipy.stats import spearmanr

from compile.kernels.common.conv_epilogue import ConvEpilogue, EpilogueKind
from compile.kernels.cpu.plain.pointwise import create_pointwise
from compile.search.cost_model import CostModel, kernel_features
from compile.search.kernel_task import kernel_task

CHOICES = [
    f"pixels={pixels} vectors={vectors} lanes=8 rows={rows}"
    for pixels in range(1, 9)
    for vectors in range(1, 9)
    for rows in (1, 2, 4, 8)
]


def seconds(choice: str, size: float) -> float:
    """Something with an optimum inside, and a cliff where registers end."""
    numbers = dict(pair.split("=") for pair in choice.split())
    pixels, vectors, rows = (int(numbers[name]) for name in ("pixels", "vectors", "rows"))
    tile = pixels * vectors
    loads = (pixels + vectors) / tile
    return size * (loads + (2.0 if tile > 24 else 0) + 0.1 * abs(log(rows / 4)))


def features(width: int) -> list[float]:
    epilogue = ConvEpilogue(EpilogueKind.BIAS)
    kernel = create_pointwise((1, 8, width, 16), 64, "float32", "float32", epilogue)
    return kernel_features(kernel_task("conv", "pointwise", kernel, inputs=3).load())


def test_knows_nothing_at_first() -> None:
    model = CostModel()
    model.learn()
    assert model.predict(features(8), CHOICES) is None
    model.tell("a", features(8), {choice: seconds(choice, 1e-3) for choice in CHOICES[:7]})
    model.learn()
    assert model.predict(features(8), CHOICES) is None


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_ranks_what_it_has_not_seen(seed: int) -> None:
    random, model = np.random.default_rng(seed), CostModel()
    seen = list(random.choice(CHOICES, 80, replace=False))
    rest = [choice for choice in CHOICES if choice not in seen]
    model.tell("a", features(8), {choice: seconds(choice, 1e-3) for choice in seen})
    model.learn()
    for width in (8, 16):
        true = [seconds(choice, 7e-3) for choice in rest]
        assert spearmanr(model.predict(features(width), rest), true).statistic > 0.85


def test_kernels_of_any_size_teach_each_other() -> None:
    """Times a thousand times apart: only their ratios within a kernel count."""
    model, half = CostModel(), len(CHOICES) // 2
    model.tell("a", features(8), {c: seconds(c, 1e-6) for c in CHOICES[:half:2]})
    model.tell("b", features(16), {c: seconds(c, 1e-3) for c in CHOICES[half::2]})
    model.learn()
    true = [seconds(choice, 1.0) for choice in CHOICES]
    assert spearmanr(model.predict(features(8), CHOICES), true).statistic > 0.8
