"""Observers of activations: torchao's, where that does not do or takes too long."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from compile.quantize.choose_range import choose_range
from compile.quantize.pt2e import HistogramObserver, MinMaxObserver
from compile.quantize.schemes import Calibration

# Part of all values that a step of the search may leave outside of the range.
_STEP = 1e-5

# From 0 upwards and from 1 downwards, added up as torchao does, until they have met for certain.
_LOWS = np.add.accumulate([_STEP] * round(1.01 / _STEP))
_HIGHS = np.add.accumulate([1.0, *[-_STEP] * round(1.01 / _STEP)])[1:]
_STEPS_AT_A_TIME = 4096

# Values that are counted at a time: few enough for a core's own cache.
_PIECE = 1 << 17

# The float32 up to which one can be added to a count: `torch.histc` counts in float32.
_MOST_COUNTED = 1 << 24


class NotANumberError(Exception):
    """A value that is no number was to be observed: the weights are useless."""


class FastHistogramObserver(HistogramObserver):
    """torchao's observer, without a tensor for every number in its search for the range with the
    least squared error, and without `torch.histc`, which takes four times as long to count: the
    same range, to the last bit. What is outside of ``limits`` counts as if it were at them."""

    def __init__(self, limits: tuple[float, float] | None = None, **options: Any) -> None:
        """With torchao's ``options``."""
        super().__init__(**options)
        self.limits = limits

    def forward(self, x_orig: Tensor) -> Tensor:
        """Count the values of ``x_orig``, of any shape, and return it.

        Raises:
            NotANumberError: one of them is NaN.
        """
        seen = x_orig if self.limits is None else x_orig.detach().clamp(*self.limits)
        self._count(seen)
        return x_orig

    def _count(self, seen: Tensor) -> None:
        if seen.dtype is not torch.float32 or not seen.numel():
            super().forward(seen)
            return
        values = _in_memory_order(seen.detach())
        least, largest = torch.aminmax(values)
        if torch.isnan(least):
            raise NotANumberError
        is_first = bool(self.min_val > self.max_val)
        before = self.min_val.clone(), self.max_val.clone()
        low = least if is_first else torch.min(before[0], least)
        high = largest if is_first else torch.max(before[1], largest)
        if not 0 < ((high - low) * self.bins).item() < float("inf"):
            super().forward(seen)
            return
        counts = _counts(values, self.bins, low, high)
        if not is_first:
            counts = self._combine_histograms(self.histogram, *before, counts, low, high)
        self.histogram.detach_().resize_(counts.shape).copy_(counts)
        self.min_val.detach_().resize_(low.shape).copy_(low)
        self.max_val.detach_().resize_(high.shape).copy_(high)

    def _non_linear_param_search(self) -> tuple[Tensor, Tensor]:
        """Least and greatest value of the range, as tensors without dimensions."""
        cumulative = torch.cumsum(self.histogram, dim=0).numpy()
        total = torch.sum(self.histogram).item()
        lows = _places(cumulative, total, _LOWS, "left")
        highs = _places(cumulative, total, _HIGHS, "right")
        below, above, start, end = 0.0, 1.0, 0, self.bins - 1
        next_below, left = next(lows)
        next_above, right = next(highs)
        error = float("inf")
        while below < above:
            next_start, next_end = min(max(left, start), end), min(max(right - 1, start), end)
            if next_start - start > end - next_end:
                next_end, below = end, next_below
                next_below, left = next(lows)
            else:
                next_start, above = start, next_above
                next_above, right = next(highs)
            if next_start == start and next_end == end:
                continue
            next_error = self._compute_quantization_error(next_start, next_end)
            if next_error > error:
                break
            error, start, end = next_error, next_start, next_end
        width = (self.max_val - self.min_val) / self.bins
        return self.min_val + width * start, self.min_val + width * (end + 1)


class RangeObserver(FastHistogramObserver):
    """The same histogram, of which another method chooses the range."""

    def __init__(self, calibration: Calibration, **options: Any) -> None:
        """With the method of ``calibration``, and torchao's ``options``."""
        super().__init__(**options)
        self.calibration = calibration

    def _non_linear_param_search(self) -> tuple[Tensor, Tensor]:
        """Least and greatest value of the range, as tensors without dimensions."""
        counts = self.histogram.numpy().astype(np.float64)
        width = (self.max_val - self.min_val) / self.bins
        zero = int(-self.min_val // width) if width else -1
        start, end = choose_range(counts, self.calibration, zero)
        return self.min_val + width * start, self.min_val + width * end


def _places(
    cumulative: NDArray[np.float32],
    total: float,
    steps: NDArray[np.float64],
    side: Literal["left", "right"],
) -> Iterator[tuple[float, int]]:
    """Each of ``steps`` with the bin at which ``cumulative`` reaches that part of ``total``."""
    for first in range(0, len(steps), _STEPS_AT_A_TIME):
        some = steps[first : first + _STEPS_AT_A_TIME]
        # torchao compares float32 with float32.
        wanted = (some * total).astype(np.float32)
        places = np.searchsorted(cumulative, wanted, side)
        yield from zip(some.tolist(), places.tolist(), strict=True)


def _in_memory_order(tensor: Tensor) -> Tensor:
    """The values of ``tensor`` as a vector, which is no copy where nothing lies between them."""
    dimensions = sorted(range(tensor.ndim), key=tensor.stride, reverse=True)
    return tensor.permute(dimensions).reshape(-1)


def _counts(values: Tensor, bins: int, low: Tensor, high: Tensor) -> Tensor:
    """How many of ``values``, float32 [N] from ``low`` to ``high``, are in each of ``bins`` of the
    same width: float32 [bins], as `torch.histc` counts them."""
    counts = torch.zeros(bins + 1, dtype=torch.int64)
    width = high - low
    scaled = torch.empty(min(_PIECE, values.numel()))
    places = torch.empty(scaled.shape, dtype=torch.int32)
    for piece in values.split(_PIECE):
        of_piece, place = scaled[: piece.numel()], places[: piece.numel()]
        torch.sub(piece, low, out=of_piece).mul_(bins).div_(width)
        counts += torch.bincount(place.copy_(of_piece), minlength=bins + 1)
    counts[bins - 1] += counts[bins]  # The largest value is in the last bin, too.
    return counts[:bins].clamp_(max=_MOST_COUNTED).to(torch.float32)


class WideMinMaxObserver(MinMaxObserver):
    """Twice the range that was seen: values outside of it are likely, and bits can be spared. It
    ends at the ``limits``."""

    def __init__(self, limits: tuple[float, float] | None = None, **options: Any) -> None:
        """With torchao's ``options``."""
        super().__init__(**options)
        self.limits = limits

    def calculate_qparams(self) -> tuple[Tensor, Tensor]:
        """Scale and zero point of the doubled range."""
        least, largest = 2 * self.min_val, 2 * self.max_val
        if self.limits is not None:
            least, largest = least.clamp(*self.limits), largest.clamp(*self.limits)
        return self._calculate_qparams(least, largest)
