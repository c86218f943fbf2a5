"""PyTorch, eager, float32: where the network comes from."""

from __future__ import annotations

from importlib.metadata import version
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.engines.engine import Engine, Job


class PyTorchEager(Engine):
    """The network with its batch norms folded, channels last: what is fastest there."""

    name: ClassVar = "pytorch"
    schemes: ClassVar = ("fp32",)
    takes_any_network: ClassVar = True
    marker: ClassVar = "v"

    def load(self, job: Job) -> None:
        """Load the network's own weights."""
        import torch

        from compile.networks.registry import built_network
        from compile.quantize.fold import fold_batch_norms

        self._torch = torch
        self.version = version("torch")
        torch.set_num_threads(job.threads)
        network = built_network(job.network, job.parameters)
        net = fold_batch_norms(network.load(network.weights(fine_tuned=False)))
        # torch says of this method that it takes no memory format alone.
        self._net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def set_photo(self, photo: NDArray[np.uint8]) -> None:
        """Take ``photo``, uint8 [H,W,3]."""
        torch = self._torch
        x = torch.from_numpy(np.array(photo)).permute(2, 0, 1)[None] / 255
        self._x = x.contiguous(memory_format=torch.channels_last)

    def run(self) -> None:
        """Compute one frame."""
        with self._torch.inference_mode():
            self._y = self._net(self._x)

    def output(self) -> NDArray[np.float32]:
        """Return H of the last frame, float32 [H,W,3]."""
        return self._y[0].permute(1, 2, 0).contiguous().numpy()
