"""ONNX Runtime, its CPU provider."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

import numpy as np

from bench.engines.engine import Engine, Job
from bench.peers.peer_files import onnx_file
from compile.support.frame import Frame


class OnnxRuntime(Engine):
    """A file of ``bench/peers/convert_onnx.py``; its layout (NCHW) is made untimed."""

    name: ClassVar = "onnxruntime"
    schemes: ClassVar = ("mixed", "fp32", "int8")
    reads_files: ClassVar = True
    packages: ClassVar = ("onnxruntime",)
    marker: ClassVar = "^"

    def files(self, job: Job) -> tuple[Path, ...]:
        """List its .onnx."""
        return (onnx_file(job.scheme, job.size, job.files),)

    def load(self, job: Job) -> None:
        """Load the network's .onnx at its height and width."""
        import onnxruntime

        self.version = version("onnxruntime")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = job.threads
        options.inter_op_num_threads = 1
        for name, extent in zip(("32*rows", "32*columns"), job.size, strict=True):
            options.add_free_dimension_override_by_name(name, extent)
        self._session = onnxruntime.InferenceSession(
            *map(str, self.files(job)),
            options,
            providers=["CPUExecutionProvider"],
        )

    def set_inputs(self, frame: Frame) -> None:
        """Take a photograph, uint8 [1,H,W,3]."""
        (photo,) = frame
        self._x = np.ascontiguousarray(photo.transpose(0, 3, 1, 2) / np.float32(255))

    def run(self) -> None:
        """Compute one frame."""
        (self._y,) = self._session.run(None, {"x": self._x})

    def outputs(self) -> Frame:
        """Return H of the last frame, float32 [1,H,W,3]."""
        return (self._y.transpose(0, 2, 3, 1),)
