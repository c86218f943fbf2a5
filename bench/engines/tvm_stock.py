"""Stock TVM: PyTorch's float32 network through its importer and its default pipeline."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

import numpy as np

from bench.engines.engine import Engine, Job
from compile.support.frame import Frame


class TvmStock(Engine):
    """What a newcomer gets: no schedule but the default one, which says that kernels are to be
    tuned."""

    name: ClassVar = "tvm-stock"
    schemes: ClassVar = ("fp32",)
    packages: ClassVar = ("torch", "tvm.relax.frontend.torch", "compile.frontend.norms")
    marker: ClassVar = "+"

    def files(self, job: Job) -> tuple[Path, ...]:
        """List the network's checkpoint: it is compiled when it is loaded."""
        from compile.networks.mqnet.checkpoints import bundled_weights

        return (bundled_weights("ca", fine_tuned=False),)

    def load(self, job: Job) -> None:
        """Import, compile and load the network."""
        import torch
        import tvm
        from tvm import relax
        from tvm.relax.frontend.torch import from_exported_program

        from compile.frontend.norms import instance_norm
        from compile.networks.mqnet.checkpoints import load_checkpoint
        from compile.quantize.fold import fold_batch_norms
        from device.runtime.run_artefact import use_threads
        from targets.describe_target import tvm_target
        from targets.load_target import load_target

        self._new_tensor = tvm.runtime.tensor
        self.version = version("apache-tvm")
        use_threads(job.threads)
        net = fold_batch_norms(load_checkpoint(None, "ca"))
        with torch.no_grad():
            program = torch.export.export(net, (torch.rand(1, 3, *job.size),))
        # Its own converter would give another network.
        module = from_exported_program(
            program, custom_convert_map={"instance_norm.default": instance_norm}
        )
        library = tvm.compile(module, tvm_target(load_target("host")))
        self._vm = relax.VirtualMachine(library, tvm.cpu())

    def set_inputs(self, frame: Frame) -> None:
        """Take a photograph, uint8 [1,H,W,3]."""
        (photo,) = frame
        x = np.ascontiguousarray(photo.transpose(0, 3, 1, 2) / np.float32(255))
        self._x = self._new_tensor(x)

    def run(self) -> None:
        """Compute one frame."""
        (self._y,) = self._vm["main"](self._x)

    def outputs(self) -> Frame:
        """Return H of the last frame, float32 [1,H,W,3]."""
        return (self._y.numpy().transpose(0, 2, 3, 1),)
