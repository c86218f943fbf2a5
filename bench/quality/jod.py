"""ColorVideoVDP's quality in just-objectionable differences, 10 = not to be told apart.

Mantiuk et al., "ColorVideoVDP: A visual difference predictor for image, video and display
distortions", SIGGRAPH 2024. The package imports torchvision for one Gaussian blur (and, as
huggingface_hub, for a learnt variant that is not used here); torchvision's wheels do not load
beside a CPU build of torch, so while it is imported a stand-in with that blur takes their place.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from compile.imaging.decode_hdr import WHITE_NITS

_DISPLAY = "standard_hdr_linear"


class GaussianBlur(nn.Module):
    """torchvision.transforms.GaussianBlur with a fixed sigma: [..., H, W] to the same shape.

    A truncated, normalized Gaussian in both directions; the picture is mirrored at its edges.
    """

    def __init__(self, kernel_size: int, sigma: float) -> None:
        super().__init__()
        ticks = torch.arange(kernel_size, dtype=torch.float32) - (kernel_size - 1) / 2
        weights = torch.exp(-0.5 * (ticks / sigma) ** 2)
        self._weights = weights / weights.sum()

    def forward(self, picture: Tensor) -> Tensor:
        """The blurred ``picture``."""
        weights = self._weights.to(picture)
        margin = len(weights) // 2
        planes = picture.reshape(-1, 1, *picture.shape[-2:])
        planes = F.pad(planes, (margin,) * 4, mode="reflect")
        planes = F.conv2d(planes, weights.reshape(1, 1, 1, -1))
        return F.conv2d(planes, weights.reshape(1, 1, -1, 1)).reshape(picture.shape)


def jod(picture: NDArray[np.float32], truth: NDArray[np.float32]) -> float:
    """JOD of ``picture`` against ``truth``, relative light float32 [H,W,3], on a 1,500 cd/m2
    display that shows LDR white at 203 cd/m2 and clips what is brighter than itself."""
    shown = (np.ascontiguousarray(light * WHITE_NITS) for light in (picture, truth))
    quality, _ = _metric().predict(*shown, dim_order="HWC")
    return float(quality)


@cache
def _metric() -> Any:
    with _stand_ins():
        import pycvvdp
    return pycvvdp.cvvdp(display_name=_DISPLAY, device=torch.device("cpu"))


@contextmanager
def _stand_ins() -> Iterator[None]:
    def unavailable(*_: object, **__: object) -> None:
        raise RuntimeError("the learnt variants of ColorVideoVDP are not available here")

    contents: dict[str, dict[str, Any]] = {
        "torchvision": {},
        "torchvision.transforms": {"GaussianBlur": GaussianBlur},
        "torchvision.ops": {"MLP": nn.Identity},
        "huggingface_hub": {"hf_hub_download": unavailable},
    }
    before = {name: sys.modules.get(name) for name in contents}
    for name, attributes in contents.items():
        sys.modules[name] = ModuleType(name)
        vars(sys.modules[name]).update(attributes)
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
