"""An observer for tensors of which calibration sees few values."""

from __future__ import annotations

from torch import Tensor

from compile.quantize.pt2e import MinMaxObserver


class WideMinMaxObserver(MinMaxObserver):
    """Twice the range that was seen: values outside of it are likely, and bits can be spared."""

    def calculate_qparams(self) -> tuple[Tensor, Tensor]:
        """Scale and zero point of the doubled range."""
        return self._calculate_qparams(2 * self.min_val, 2 * self.max_val)
