"""OpenVINO, its CPU plugin."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import ClassVar

import numpy as np

from bench.engines.engine import Engine, Job
from bench.peers.peer_files import onnx_file
from compile.support.frame import Frame


class OpenVino(Engine):
    """The same files as ONNX Runtime's; float32 stays float32, also where the CPU has bfloat16."""

    name: ClassVar = "openvino"
    schemes: ClassVar = ("mixed", "fp32", "int8")
    reads_files: ClassVar = True
    packages: ClassVar = ("openvino",)
    marker: ClassVar = "D"

    def files(self, job: Job) -> tuple[Path, ...]:
        """List its .onnx."""
        return (onnx_file(job.scheme, job.size, job.files),)

    def load(self, job: Job) -> None:
        """Load the network's .onnx and compile it for its height and width."""
        import openvino

        self._new_tensor = openvino.Tensor
        self.version = version("openvino")
        model = openvino.Core().read_model(*self.files(job))
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

    def set_inputs(self, frame: Frame) -> None:
        """Take a photograph, uint8 [1,H,W,3]."""
        (photo,) = frame
        self._x = np.ascontiguousarray(photo.transpose(0, 3, 1, 2) / np.float32(255))
        self._request.set_input_tensor(self._new_tensor(self._x, shared_memory=True))

    def run(self) -> None:
        """Compute one frame."""
        self._request.infer()

    def outputs(self) -> Frame:
        """Return H of the last frame, float32 [1,H,W,3]."""
        return (self._request.get_output_tensor().data.transpose(0, 2, 3, 1).copy(),)
