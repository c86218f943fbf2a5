"""PyTorch through torch.compile (inductor), float32."""

from __future__ import annotations

from typing import ClassVar

from bench.engines.engine import Job
from bench.engines.pytorch_eager import PyTorchEager
from compile.support.frame import Frame


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

    def set_inputs(self, frame: Frame) -> None:
        """Take ``frame``."""
        super().set_inputs(frame)
        if not self._compiled:
            self.run()
            self._compiled = True
