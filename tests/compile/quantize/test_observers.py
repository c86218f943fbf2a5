"""The search for a range against torchao's, which goes bin by bin."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from compile.quantize.observers import FastHistogramObserver
from compile.quantize.pt2e import HistogramObserver

KINDS = {
    "normal": lambda x: x,
    "relu": torch.relu,
    "relu6": lambda x: torch.clamp(3 * x, 0, 6),
    "long tails": lambda x: x**5,
    "few values": lambda x: (x > 1.5).float(),
    "one value": lambda x: torch.full_like(x, 0.25),
}


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=10)
@given(seed=st.integers(0, 1 << 16), photos=st.integers(1, 4), scale=st.floats(1e-3, 1e3))
def test_range_is_torchaos(kind: str, seed: int, photos: int, scale: float) -> None:
    options = {"dtype": torch.int8, "eps": 2**-12, "quant_min": -128, "quant_max": 127}
    theirs, ours = HistogramObserver(**options), FastHistogramObserver(**options)
    random = torch.Generator().manual_seed(seed)
    for _ in range(photos):
        activation = scale * KINDS[kind](torch.randn(1, 3, 17, 23, generator=random))
        theirs(activation)
        ours(activation)
    assert ours._non_linear_param_search() == theirs._non_linear_param_search()
    assert ours.calculate_qparams() == theirs.calculate_qparams()
