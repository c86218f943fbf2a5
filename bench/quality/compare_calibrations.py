"""What each way to calibrate brings: every network quantized in each, against its own float32."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from compile.imaging.compare_outputs import compare_pictures
from compile.imaging.fit_size import fit_photo
from compile.imaging.photo_frames import photo_frames
from compile.networks.network import Network
from compile.networks.registry import MQNET
from compile.networks.run_module import run_on_frame
from compile.quantize.observed_tensors import ObservedTensors
from compile.quantize.quantize import quantize_network
from compile.quantize.schemes import SCHEMES, Calibration, Scheme
from compile.support.atomic import make_folder, write_atomically
from compile.support.errors import CheckpointError
from compile.support.frame import Frame, frame_of
from compile.support.progress import Progress
from compile.training.distill import distill
from compile.training.held_out import held_out_pairs

CALIBRATIONS = {
    "histogram": Calibration(),
    "percentile 99.99": Calibration("percentile", 99.99),
    "percentile 99.999": Calibration("percentile", 99.999),
    "entropy": Calibration("entropy"),
    "mse": Calibration("mse"),
    "equalize": Calibration(equalize=True),
    "correct_bias": Calibration(correct_bias=True),
    "equalize, correct_bias": Calibration(equalize=True, correct_bias=True),
}
"""What a recipe's [calibration] may say; the first is what is done without one."""


_STEPS, _SIDE, _BATCH = 60, 96, 2
"""Of networks that are fine-tuned here, towards their own float output: a try, no training."""

_SCHEMES = ("int8", "mixed-qat")
#: Of MQNet: in others `mixed` is `int8` but for the last tensor.
_SCHEMES_OF_MQNET = ("int8", "mixed", "mixed-qat")


_MEANS = "fp32_psnr_db", "held_out_psnr_db"


@dataclass(frozen=True)
class CalibrationRequest:
    """What to measure.

    Attributes:
        networks: that take photographs and make pictures.
        schemes: by name; those without int8 activations are calibrated in no way. None are those
            that tell most of each network.
        size: height and width.
        out: folder to write to.
    """

    networks: Sequence[Network]
    schemes: Sequence[str]
    size: tuple[int, int]
    out: Path


def compare_calibrations(request: CalibrationRequest, progress: Progress) -> list[dict[str, Any]]:
    """Measure the PSNR against float32, in mu-law light, of each network in each way, quantized in
    PyTorch, on the photographs for tests and on the held-out pairs. Write calibration.csv and
    calibration.md, and return the rows of the first."""
    make_folder(request.out)
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    for network in request.networks:
        for row in _rows(network, request, progress):
            rows.append(row)
            # What is there already is of use where the rest is not waited for.
            frame = pd.DataFrame(rows)
            write_atomically(request.out / "calibration.csv", frame.to_csv(index=False).encode())
            write_atomically(request.out / "calibration.md", as_markdown(rows).encode())
    return rows


def _rows(
    network: Network, request: CalibrationRequest, progress: Progress
) -> Iterator[dict[str, Any]]:
    size = network.fitting_size(*request.size)
    # No method's details were chosen on the second ones.
    sets = photo_frames(size, network.channels), _held_out_frames(size, network.channels)
    wrapper = network.export_wrapper(network.load(None), torch.float32).eval()
    exact = [_outputs(wrapper, frames) for frames in sets]
    photos = network.calibration_photos()
    usual = _SCHEMES_OF_MQNET if network.name == MQNET else _SCHEMES
    # Weights that are equalized or fine-tuned make other tensors; all else chooses of the same.
    observed = defaultdict[tuple[bool, bool], ObservedTensors](ObservedTensors)
    for scheme in (SCHEMES[name] for name in request.schemes or usual):
        network = _trained(network, photos) if scheme.fine_tuned else network
        for name, calibration in CALIBRATIONS.items():
            if network.training is not None and scheme.fine_tuned and calibration != Calibration():
                continue  # Minutes each.
            with progress.phase(f"{network.name} {scheme.name} {name}"):
                chosen: Scheme = replace(scheme, calibration=calibration)
                net = network.load(network.weights(scheme.fine_tuned))
                known = observed[scheme.fine_tuned, calibration.equalize]
                module = quantize_network(
                    network, net, chosen, photos, *size, observed=known
                ).module()
                found = [_outputs(module, frames) for frames in sets]
            compare = partial(compare_pictures, decode=network.decode)
            scores, held_out = (
                [compare(one, other) for one, other in zip(made, wanted, strict=True)]
                for made, wanted in zip(found, exact, strict=True)
            )
            yield {
                "network": network.name,
                "scheme": scheme.name,
                "calibration": name,
                "photographs": len(scores),
                "fp32_psnr_db": float(np.mean(scores)),
                "least_fp32_psnr_db": float(np.min(scores)),
                "held_out": len(held_out),
                "held_out_psnr_db": float(np.mean(held_out)),
                "least_held_out_psnr_db": float(np.min(held_out)),
            }


def _held_out_frames(size: tuple[int, int], channels: int) -> list[Frame]:
    photos = [photo for photo, _ in held_out_pairs().values()]
    taken = np.arange(channels) % 3
    return [frame_of(fit_photo(photo, *size, "resize")[0][..., taken]) for photo in photos]


def _trained(network: Network, photos: Sequence[NDArray[np.uint8]]) -> Network:
    """``network``, with a training function where it has no fine-tuned weights and none of its
    own."""
    try:
        network.weights(fine_tuned=True)
    except CheckpointError:
        train = partial(distill, photos=photos, steps=_STEPS, size=_SIDE, batch=_BATCH)
        kind = type(network)
        members = {"training": property(lambda _: train)}
        return type(kind.__name__, (kind,), members)(**network.parameters)
    return network


def _outputs(module: torch.nn.Module, frames: Sequence[Frame]) -> list[Frame]:
    return [run_on_frame(module, frame) for frame in frames]


def as_markdown(rows: Sequence[dict[str, Any]]) -> str:
    """A line for each way, with the mean dB of each network and scheme, over the photographs for
    tests and over the held-out pairs, and the best of each in bold."""
    frame = pd.DataFrame(rows)
    keys = list(dict.fromkeys(zip(frame["network"], frame["scheme"], strict=True)))
    best = frame.groupby(["network", "scheme"])[[*_MEANS]].max()
    lines = [
        "| calibration | " + " | ".join(f"{network}, {scheme}" for network, scheme in keys) + " |",
        "| --- " * (len(keys) + 1) + "|",
    ]
    cells = {(row["network"], row["scheme"], row["calibration"]): row for row in rows}
    for name in dict.fromkeys(frame["calibration"]):
        texts = []
        for key in keys:
            row = cells.get((*key, name))
            text = ""
            if row is not None:
                text = ", ".join(
                    f"**{row[mean]:.1f}**" if row[mean] == best[mean][key] else f"{row[mean]:.1f}"
                    for mean in _MEANS
                )
            texts.append(text)
        lines.append(f"| {name} | " + " | ".join(texts) + " |")
    return "\n".join(lines) + "\n"
