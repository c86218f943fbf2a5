"""PyTorch, eager, float32: where the network comes from."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

import numpy as np

from bench.engines.engine import Engine, Job
from compile.support.frame import Frame


class PyTorchEager(Engine):
    """The network with its batch norms folded, channels last: what is fastest there."""

    name: ClassVar = "pytorch"
    schemes: ClassVar = ("fp32",)
    takes_any_network: ClassVar = True
    packages: ClassVar = ("torch", "compile.networks.registry", "compile.quantize.fold")
    marker: ClassVar = "v"

    def files(self, job: Job) -> tuple[Path, ...]:
        """List its checkpoint; of seeded weights there is none."""
        from compile.networks.registry import built_network

        weights = built_network(job.network, job.parameters).weights(fine_tuned=False)
        return () if weights is None else (weights,)

    def load(self, job: Job) -> None:
        """Load the network's own weights."""
        import torch

        from compile.networks.registry import built_network
        from compile.quantize.fold import fold_batch_norms

        self._torch = torch
        self.version = version("torch")
        torch.set_num_threads(job.threads)
        self._network = network = built_network(job.network, job.parameters)
        net = fold_batch_norms(network.load(network.weights(fine_tuned=False)))
        # torch says of this method that it takes no memory format alone.
        self._net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def set_inputs(self, frame: Frame) -> None:
        """Take ``frame``."""
        torch = self._torch
        inputs = [torch.from_numpy(np.array(tensor)) for tensor in frame]
        if self._network.takes_photographs:
            inputs = [photo.permute(0, 3, 1, 2) / 255 for photo in inputs]
        self._x = [
            x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x for x in inputs
        ]

    def run(self) -> None:
        """Compute one frame."""
        with self._torch.inference_mode():
            self._y = self._net(*self._x)

    def outputs(self) -> Frame:
        """Return those of the last frame."""
        from compile.networks.export_wrapper import named_outputs

        outputs = list(named_outputs(self._y).values())
        if self._network.makes_pictures:
            outputs = [picture.permute(0, 2, 3, 1) for picture in outputs]
        return tuple(tensor.contiguous().numpy() for tensor in outputs)
