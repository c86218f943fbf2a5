"""TVM as it comes: PyTorch's float32 network through its importer and its default pipeline."""

from __future__ import annotations

from importlib.metadata import version

import numpy as np
import torch
import tvm
from numpy.typing import NDArray
from tvm import relax
from tvm.relax.frontend.torch import from_exported_program

from bench.engines.engine import Job
from compile.frontend.instance_norm import INSTANCE_NORM
from compile.networks.mqnet.checkpoints import load_checkpoint
from compile.quantize.fold import fold_batch_norms
from device.runtime.run_artefact import use_threads
from targets.describe_target import tvm_target
from targets.load_target import load_target


class TvmStock:
    """What a newcomer gets: no schedule but the default one, which says that kernels are to be
    tuned."""

    def __init__(self, job: Job) -> None:
        self.version = version("apache-tvm")
        use_threads(job.threads)
        net = fold_batch_norms(load_checkpoint(None, "ca"))
        with torch.no_grad():
            program = torch.export.export(net, (torch.rand(1, 3, *job.size),))
        # Its own converter would give another network.
        module = from_exported_program(program, custom_convert_map=INSTANCE_NORM)
        library = tvm.compile(module, tvm_target(load_target("host")))
        self._vm = relax.VirtualMachine(library, tvm.cpu())

    def set_photo(self, photo: NDArray[np.uint8]) -> None:
        """Take ``photo``, uint8 [H,W,3]."""
        x = np.ascontiguousarray(photo.transpose(2, 0, 1)[None] / np.float32(255))
        self._x = tvm.runtime.tensor(x)

    def run(self) -> None:
        """Compute one frame."""
        (self._y,) = self._vm["main"](self._x)

    def output(self) -> NDArray[np.float32]:
        """H of the last frame, float32 [H,W,3]."""
        return self._y.numpy()[0].transpose(1, 2, 0)
