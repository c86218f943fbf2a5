"""PyTorch through torch.compile (inductor), float32."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.engines.engine import Job
from bench.engines.pytorch_eager import PyTorchEager


class PyTorchCompiled(PyTorchEager):
    """As eager, with its weights frozen into what inductor compiles with the first photograph."""

    name: ClassVar = "pytorch-compiled"
    marker: ClassVar = "<"

    def load(self, job: Job) -> None:
        """Load the network's own weights, to be compiled with the first photograph."""
        super().load(job)
        from torch._inductor import config

        config.freezing = True
        # More would be processes that outlive this one, which is killed.
        config.compile_threads = 1
        self._net = self._torch.compile(self._net)
        self._compiled = False

    def set_photo(self, photo: NDArray[np.uint8]) -> None:
        """Take ``photo``, uint8 [H,W,3]."""
        super().set_photo(photo)
        if not self._compiled:
            self.run()
            self._compiled = True
