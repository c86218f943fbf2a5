"""The search for a range against torchao's, which goes bin by bin."""

from __future__ import annotations

import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from compile.quantize.observers import FastHistogramObserver, NotANumberError
from compile.quantize.pt2e import HistogramObserver
from compile.quantize.specifications import FIXED_OUTPUTS, OBSERVERS, SATURATION

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
    assert torch.equal(ours.histogram, theirs.histogram)
    assert ours._non_linear_param_search() == theirs._non_linear_param_search()
    assert ours.calculate_qparams() == theirs.calculate_qparams()


@pytest.mark.parametrize("order", [[*KINDS], [*KINDS][::-1]])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_histogram_of_large_tensors_is_torchaos(
    order: list[str], layout: torch.memory_format
) -> None:
    theirs, ours = HistogramObserver(dtype=torch.int8), FastHistogramObserver(dtype=torch.int8)
    random = torch.Generator().manual_seed(1)
    for kind in order:
        activation = KINDS[kind](torch.randn(2, 8, 65, 67, generator=random))
        activation = activation.contiguous(memory_format=layout)
        theirs(activation)
        assert ours(activation) is activation
        assert torch.equal(ours.histogram, theirs.histogram)
        assert (ours.min_val, ours.max_val) == (theirs.min_val, theirs.max_val)


@pytest.mark.parametrize("odd", [torch.inf, -torch.inf])
def test_what_torchao_leaves_out_is_left_out(odd: float) -> None:
    theirs, ours = HistogramObserver(dtype=torch.int8), FastHistogramObserver(dtype=torch.int8)
    activation = torch.linspace(-1, 2, 100)
    for one in activation, torch.cat([2 * activation, torch.tensor([odd])]), activation[:0]:
        with warnings.catch_warnings(action="ignore"):
            theirs(one)
            ours(one)
    assert torch.equal(ours.histogram, theirs.histogram)
    assert (ours.min_val, ours.max_val) == (theirs.min_val, theirs.max_val)


def test_no_number_has_no_range() -> None:
    """torchao would fail in `torch.histc`."""
    ours = FastHistogramObserver(dtype=torch.int8)
    ours(torch.linspace(-1, 2, 100))
    with pytest.raises(NotANumberError):
        ours(torch.tensor([0.0, torch.nan, 1.0]))


@pytest.mark.parametrize("function", SATURATION)
def test_nothing_is_lost_beyond_where_a_function_is_saturated(function: torch._ops.OpOverload):
    """At the limits and far beyond them are the same bytes, and next to them inside are others."""
    output = FIXED_OUTPUTS[function]

    def quantized(x: float) -> int:
        value = function(torch.tensor(x, dtype=torch.float64)).item()
        return max(-128, min(127, round(value / output.scale) + output.zero_point))

    low, high = SATURATION[function]
    assert (quantized(low - 1e-9), quantized(high + 1e-9)) == (-128, 127)
    assert quantized(low * 0.99) > -128 and quantized(high * 0.98) < 127


@pytest.mark.parametrize("values", [(-40.0, 3.0), (20.0, 40.0), (-1.0, 1.0)])
def test_a_range_ends_at_its_limits(values: tuple[float, float]):
    x = torch.linspace(*values, 1000)
    options = {"dtype": torch.int8, "quant_min": -128, "quant_max": 127}
    for once in (False, True):
        made = OBSERVERS.observed(once, (-6.0, 5.0)).observer_or_fake_quant_ctr
        observer = made(**options, qscheme=torch.per_tensor_affine)
        assert observer(x) is x
        scale, zero_point = observer.calculate_qparams()
        low, high = (-128 - zero_point) * scale, (127 - zero_point) * scale
        assert -6.1 < low <= 0 <= high < 5.1
        assert high > min(values[1], 4.9) * 0.95
