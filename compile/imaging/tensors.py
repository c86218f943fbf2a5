"""Pixels as the network's tensors and back: NCHW, RGB in [0, 1]."""

from __future__ import annotations

import numpy as np


def photo_to_input(photo: np.ndarray) -> np.ndarray:
    """A photograph, uint8 [H, W, 3], as the network's input: float32 [1, 3, H, W] in [0, 1]."""
    planes = np.moveaxis(photo, -1, 0)[np.newaxis]
    return np.ascontiguousarray(planes, dtype=np.float32) / np.float32(255)


def output_to_image(output: np.ndarray) -> np.ndarray:
    """The network's output, float32 [1, 3, H, W], as an image: float32 [H, W, 3]."""
    return np.ascontiguousarray(np.moveaxis(output[0], 0, -1))
