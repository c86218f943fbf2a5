"""A LiteRT network from its file on a GPU: LiteRT's WebGPU accelerator, which needs Vulkan."""

from __future__ import annotations

import re
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
from ai_edge_litert.compiled_model import CompiledModel
from ai_edge_litert.hardware_accelerator import HardwareAccelerator

from compile.support.errors import TargetError
from compile.support.frame import Frame
from compile.support.standard_streams import native_stderr_to
from device.runtime.gpu_name import SOFTWARE_WARNING

# What the accelerator says of the GPU that it takes, and of none; nothing else of it tells.
_ADAPTER = re.compile(r"Selected adapter: (.*), arch=.* adapterType=(.*)")
_REFUSAL = re.compile(r"(?:ERROR|E\d+).*\] (.*)")
_NO_DRIVER_REMEDY = (
    ": install Vulkan's loader and a driver (on Debian libvulkan1 and mesa-vulkan-drivers)"
)


class LiteRTGpuFile:
    """The network in a .tflite with float32 input and output, all of it on the GPU.

    Attributes:
        version: of LiteRT, and which GPU it runs on.
    """

    def __init__(self, path: Path) -> None:
        """Load the network.

        Raises:
            TargetError: there is no GPU, or not all of the network can run on it.
        """
        with tempfile.TemporaryFile("w+", errors="replace") as log:
            try:
                with native_stderr_to(log.fileno()):
                    self._model = CompiledModel.from_file(
                        str(path), hardware_accel=HardwareAccelerator.GPU
                    )
                problem = "" if self._model.is_fully_accelerated() else "not all of it runs there"
            except RuntimeError as error:
                problem = str(error).splitlines()[0]
            log.seek(0)
            text = log.read()
        if problem:
            reasons = _REFUSAL.findall(text) or [problem]
            reason = reasons[0] + (_NO_DRIVER_REMEDY if "No adapters found" in reasons[0] else "")
            raise TargetError(f"LiteRT does not run {path.name} on a GPU here: {reason}")
        adapter = _ADAPTER.search(text)
        name, kind = adapter.groups() if adapter else ("an unknown GPU", "")
        warning = f"{SOFTWARE_WARNING}: " if "CPU" in kind else ""
        self.version = f"{version('ai-edge-litert')} on {warning}{name}"
        self._inputs = self._model.create_input_buffers(0)
        self._outputs = self._model.create_output_buffers(0)

    def set_inputs(self, frame: Frame) -> None:
        """Take a photograph, uint8 [1,H,W,3]."""
        (photo,) = frame
        self._shape = photo.shape
        self._inputs[0].write(photo / np.float32(255))

    def run(self) -> None:
        """Compute one frame and read its result: nothing else waits for the GPU."""
        self._model.run_by_index(0, self._inputs, self._outputs)
        self._result = self._outputs[0].read(int(np.prod(self._shape)), np.float32)

    def outputs(self) -> Frame:
        """H of the last frame, float32 [1,H,W,3]."""
        return (self._result.reshape(self._shape),)
