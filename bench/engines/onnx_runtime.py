"""ONNX Runtime, its CPU provider."""

from __future__ import annotations

from importlib.metadata import version
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.engines.engine import Engine, Job
from bench.peers.peer_files import peer_file


class OnnxRuntime(Engine):
    """A file of ``bench/peers/convert_onnx.py``; its layout (NCHW) is made untimed."""

    name: ClassVar = "onnxruntime"
    schemes: ClassVar = ("mixed", "fp32", "int8")
    marker: ClassVar = "^"

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
            str(peer_file(f"onnx-{job.scheme}.onnx")), options, providers=["CPUExecutionProvider"]
        )

    def set_photo(self, photo: NDArray[np.uint8]) -> None:
        """Take ``photo``, uint8 [H,W,3]."""
        self._x = np.ascontiguousarray(photo.transpose(2, 0, 1)[None] / np.float32(255))

    def run(self) -> None:
        """Compute one frame."""
        (self._y,) = self._session.run(None, {"x": self._x})

    def output(self) -> NDArray[np.float32]:
        """Return H of the last frame, float32 [H,W,3]."""
        return self._y[0].transpose(1, 2, 0)
