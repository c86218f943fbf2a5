"""A LiteRT network from its file, on whatever machine LiteRT runs on."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from compile.support.frame import Frame


class LiteRTFile:
    """The network in a .tflite; an int8 input is quantized untimed.

    Attributes:
        version: of LiteRT.
    """

    def __init__(self, path: Path, threads: int) -> None:
        self.version = version("ai-edge-litert")
        self._interpreter = Interpreter(str(path), num_threads=threads)
        self._allocated = False
        (self._in,) = self._interpreter.get_input_details()
        (self._out,) = self._interpreter.get_output_details()

    def set_inputs(self, frame: Frame) -> None:
        """Take a photograph, uint8 [1,H,W,3]."""
        (photo,) = frame
        if not self._allocated:
            # Not at loading: this is where the memory for activations is taken.
            self._interpreter.allocate_tensors()
            self._allocated = True
        x = photo / np.float32(255)
        if self._in["dtype"] is not np.float32:
            scale, zero_point = self._in["quantization"]
            limits = np.iinfo(self._in["dtype"])
            x = np.clip(np.rint(x / scale) + zero_point, limits.min, limits.max)
        self._interpreter.set_tensor(self._in["index"], x.astype(self._in["dtype"]))

    def run(self) -> None:
        """Compute one frame."""
        self._interpreter.invoke()

    def outputs(self) -> Frame:
        """H of the last frame, float32 [1,H,W,3]."""
        y = self._interpreter.get_tensor(self._out["index"])
        if y.dtype != np.float32:
            scale, zero_point = self._out["quantization"]
            y = (y.astype(np.float32) - zero_point) * np.float32(scale)
        return (y,)
