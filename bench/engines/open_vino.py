"""OpenVINO, its CPU plugin."""

from __future__ import annotations

from importlib.metadata import version
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from bench.engines.engine import Engine, Job
from bench.peers.peer_files import peer_file


class OpenVino(Engine):
    """The same files as ONNX Runtime's; float32 stays float32, also where the CPU has bfloat16."""

    name: ClassVar = "openvino"
    schemes: ClassVar = ("mixed", "fp32", "int8")
    marker: ClassVar = "D"

    def load(self, job: Job) -> None:
        """Load the network's .onnx and compile it for its height and width."""
        import openvino

        self._new_tensor = openvino.Tensor
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
        self._request.set_input_tensor(self._new_tensor(self._x, shared_memory=True))

    def run(self) -> None:
        """Compute one frame."""
        self._request.infer()

    def output(self) -> NDArray[np.float32]:
        """Return H of the last frame, float32 [H,W,3]."""
        return self._request.get_output_tensor().data[0].transpose(1, 2, 0).copy()
