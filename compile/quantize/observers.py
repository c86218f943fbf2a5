"""Observers of activations: torchao's, where that does not do or takes too long."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

import numpy as np
import torch
from torch import Tensor

from compile.quantize.pt2e import HistogramObserver, MinMaxObserver

# Part of all values that a step of the search may leave outside of the range.
_STEP = 1e-5


class FastHistogramObserver(HistogramObserver):
    """torchao's search for the range with the least squared error, without a tensor for every
    number: the same range, to the last bit, in a tenth of the time."""

    def _non_linear_param_search(self) -> tuple[Tensor, Tensor]:
        """Least and greatest value of the range, as tensors without dimensions."""
        cumulative = torch.cumsum(self.histogram, dim=0).tolist()
        total = torch.sum(self.histogram).item()
        below, above, start, end = 0.0, 1.0, 0, self.bins - 1
        error = float("inf")
        while below < above:
            next_below, next_above = below + _STEP, above - _STEP
            # torchao compares float32 with float32.
            low, high = float(np.float32(next_below * total)), float(np.float32(next_above * total))
            left = bisect_left(cumulative, low, start, end)
            right = bisect_right(cumulative, high, start + 1, end + 1) - 1
            next_start, next_end = start, end
            if left - start > end - right:
                next_start, below = left, next_below
            else:
                next_end, above = right, next_above
            if (next_start, next_end) == (start, end):
                continue
            next_error = self._compute_quantization_error(next_start, next_end)
            if next_error > error:
                break
            error, start, end = next_error, next_start, next_end
        width = (self.max_val - self.min_val) / self.bins
        return self.min_val + width * start, self.min_val + width * (end + 1)


class WideMinMaxObserver(MinMaxObserver):
    """Twice the range that was seen: values outside of it are likely, and bits can be spared."""

    def calculate_qparams(self) -> tuple[Tensor, Tensor]:
        """Scale and zero point of the doubled range."""
        return self._calculate_qparams(2 * self.min_val, 2 * self.max_val)
