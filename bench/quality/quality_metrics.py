"""The metrics of ``bench/accuracy.py`` by name.

All compare relative light, float32 [H,W,3], 1 = LDR white, shown with white at 203 cd/m2. The
paper's HDR-VDP-2 has no package that can be installed; ColorVideoVDP stands in its place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np
from colour.difference import delta_E_ITP
from colour.models import RGB_to_ICtCp
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from bench.quality.jod import jod
from compile.imaging.decode_hdr import WHITE_NITS, mu_law
from compile.imaging.gamuts import BT709_TO_BT2020
from compile.imaging.metrics import psnr
from compile.imaging.transfer import pq_encode
from compile.training.virtual_camera import LUMINANCE

Light = NDArray[np.float32]

_PU_PEAK = 256.0

# Mantiuk and Azimi, "PU21: A novel perceptually uniform encoding for adapting existing quality
# metrics for HDR", PCS 2021, table 1, "banding + glare".
_PU21 = (
    *(0.353487901, 0.3734658629, 8.277049286e-05, 0.9062562627),
    *(0.09150303166, 0.9099517204, 596.3148142),
)


@dataclass(frozen=True)
class Metric:
    """One column of the table.

    Attributes:
        title: of the column, with the unit.
        measure: (picture, truth) -> number.
        decimals: that mean something.
        higher_is_better: how to read it.
    """

    title: str
    measure: Callable[[Light, Light], float]
    decimals: int
    higher_is_better: bool = True


def pu21(nits: NDArray) -> NDArray[np.float64]:
    """PU21 value of luminance in cd/m2, clipped to [0.005, 10000]: about 0 to 600, 256 at 100.

    ``p6 (((p0 + p1 Y^p3) / (1 + p2 Y^p3))^p4 - p5)`` (Mantiuk and Azimi 2021, eq. 1).
    """
    p = _PU21
    power = np.clip(np.asarray(nits, np.float64), 0.005, 10_000) ** p[3]
    return p[6] * (((p[0] + p[1] * power) / (1 + p[2] * power)) ** p[4] - p[5])


def mu_psnr(picture: Light, truth: Light) -> float:
    """PSNR in dB in mu-law light, peak 1."""
    return psnr(mu_law(picture), mu_law(truth))


def pu_psnr(picture: Light, truth: Light) -> float:
    """PSNR in dB of the three PU21-encoded channels, peak 256 (Mantiuk and Azimi 2021)."""
    return psnr(pu21(picture * WHITE_NITS), pu21(truth * WHITE_NITS), _PU_PEAK)


def pq_psnr(picture: Light, truth: Light) -> float:
    """PSNR in dB of the three channels in BT.2020 as PQ (ITU-R BT.2100) has them, peak 1."""
    return psnr(pq_encode(_bt2020_nits(picture)), pq_encode(_bt2020_nits(truth)))


def delta_e_itp(picture: Light, truth: Light) -> float:
    """Mean delta E ITP (ITU-R BT.2124-0): 1 is a difference that can just be seen."""
    itp, true_itp = (RGB_to_ICtCp(_bt2020_nits(light)) for light in (picture, truth))
    return float(delta_E_ITP(itp, true_itp).mean())


def _bt2020_nits(light: Light) -> NDArray[np.float64]:
    return np.maximum(light.astype(np.float64) @ BT709_TO_BT2020.T, 0) * WHITE_NITS


def pu_ssim(picture: Light, truth: Light) -> float:
    """SSIM (Wang et al. 2004) of PU21-encoded luminance, range 256, Gaussian of 1.5 pixels."""
    return float(
        structural_similarity(
            *(pu21(light @ LUMINANCE * WHITE_NITS) for light in (picture, truth)),
            data_range=_PU_PEAK,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
    )


def hdr_flip(picture: Light, truth: Light) -> float:
    """Mean HDR-FLIP (Andersson et al., "Visualizing Errors in Rendered High Dynamic Range Images",
    Eurographics 2021), 0 to 1."""
    import flip_evaluator

    _, mean, _ = flip_evaluator.evaluate(truth, picture, "HDR")
    return float(mean)


MU_PSNR = "mu_psnr_db"
"""The metric that networks are judged and ranked by."""

METRICS: dict[str, Metric] = {
    MU_PSNR: Metric("mu-PSNR dB", mu_psnr, 2),
    "pu_psnr_db": Metric("PU-PSNR dB", pu_psnr, 2),
    "pq_psnr_db": Metric("PQ-PSNR dB", pq_psnr, 2),
    "pu_ssim": Metric("PU-SSIM", pu_ssim, 4),
    "delta_e_itp": Metric("ΔE ITP", delta_e_itp, 1, higher_is_better=False),
    "jod": Metric("JOD", jod, 2),
}
if find_spec("flip_evaluator"):
    METRICS["flip"] = Metric("HDR-FLIP", hdr_flip, 3, higher_is_better=False)
