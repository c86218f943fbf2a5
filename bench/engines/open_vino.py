"""OpenVINO, its CPU plugin."""

from __future__ import annotations

from importlib.metadata import version

import numpy as np
import openvino
from numpy.typing import NDArray

from bench.engines.engine import Job
from bench.peers.peer_files import peer_file


class OpenVino:
    """The same files as ONNX Runtime's; float32 stays float32, also where the CPU has bfloat16."""

    def __init__(self, job: Job) -> None:
        self.version = version("openvino")
        model = openvino.Core().read_model(peer_file(f"onnx-{job.scheme}.onnx"))
        model.reshape([1, 3, *job.size])
        compiled = openvino.compile_model(
            model,
            "CPU",
            {
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_NUM_THREADS": job.threads,
                "INFERENCE_PRECISION_HINT": "f32",
            },
        )
        self._request = compiled.create_infer_request()

    def set_photo(self, photo: NDArray[np.uint8]) -> None:
        """Take ``photo``, uint8 [H,W,3]."""
        self._x = np.ascontiguousarray(photo.transpose(2, 0, 1)[None] / np.float32(255))
        self._request.set_input_tensor(openvino.Tensor(self._x, shared_memory=True))

    def run(self) -> None:
        """Compute one frame."""
        self._request.infer()

    def output(self) -> NDArray[np.float32]:
        """H of the last frame, float32 [H,W,3]."""
        return self._request.get_output_tensor().data[0].transpose(1, 2, 0).copy()
