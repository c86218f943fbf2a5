"""How far each scheme of any network is from its float32, in PyTorch and compiled."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from compile.build_network import build_network, quantized_program
from compile.build_request import BuildRequest
from compile.imaging.compare_outputs import compare_pictures, compare_tensors
from compile.imaging.fit_size import fit_photo
from compile.imaging.photo_frames import photo_frames
from compile.networks.network import Network
from compile.networks.run_module import run_on_frame
from compile.support.atomic import make_folder, write_atomically
from compile.support.build_cache import user_cache
from compile.support.frame import Frame, frame_of
from compile.support.progress import Progress
from device.runtime.run_artefact import Session


@dataclass(frozen=True)
class NetworkAccuracyRequest:
    """What to measure.

    Attributes:
        network: any.
        schemes: by name.
        size: height and width.
        checkpoint: other weights than its own, or None.
        on_calibration: measure on the photographs that scales are chosen on, not on those that come
            with the project for tests.
        out: folder to write to; artefacts are built below it.
    """

    network: Network
    schemes: Sequence[str]
    size: tuple[int, int]
    checkpoint: Path | None
    on_calibration: bool
    out: Path


def measure_network_accuracy(
    request: NetworkAccuracyRequest, progress: Progress
) -> list[dict[str, Any]]:
    """Measure each scheme against float32, in dB: of a picture the PSNR in mu-law light, of tensors
    the signal to noise. Write accuracy.csv and return a row for each scheme and engine.

    Raises:
        MqnetError: one of its kinds, for each mistake that a user can mend.
    """
    make_folder(request.out)
    torch.set_num_threads(1)
    network, frames = request.network, _frames(request)
    with progress.phase("float32"), contextlib.redirect_stdout(sys.stderr):
        wrapper = network.export_wrapper(network.load(request.checkpoint), torch.float32).eval()
        exact = [run_on_frame(wrapper, frame) for frame in frames]
    rows = [
        row for scheme in request.schemes for row in _rows(request, scheme, frames, exact, progress)
    ]
    write_atomically(request.out / "accuracy.csv", pd.DataFrame(rows).to_csv(index=False).encode())
    return rows


def _rows(
    request: NetworkAccuracyRequest,
    scheme: str,
    frames: Sequence[Frame],
    exact: Sequence[Frame],
    progress: Progress,
) -> Iterator[dict[str, Any]]:
    """Of PyTorch, which simulates integers in float, and compiled."""
    progress.say(scheme)
    network, cache = request.network, user_cache(os.environ)
    build = BuildRequest(
        "host",
        scheme,
        network,
        request.size,
        checkpoint=request.checkpoint,
        out=request.out / scheme,
    )
    with progress.phase("quantize"):
        program = quantized_program(build, cache)
    module = program.module()
    with progress.phase("PyTorch"):
        simulated = [run_on_frame(module, frame) for frame in frames]
    artefact = build_network(build, progress, program, cache)
    with progress.phase("compiled"):
        session = Session(artefact)
        compiled = [session.run_frame(frame)[0] for frame in frames]
    compare = compare_tensors
    if network.makes_pictures:
        compare = partial(compare_pictures, decode=network.decode)
    size = artefact.manifest.whole.weight_bytes
    for engine, made, weight_bytes in (("pytorch", simulated, None), ("tvm", compiled, size)):
        scores = [compare(found, wanted) for found, wanted in zip(made, exact, strict=True)]
        yield {
            "engine": engine,
            "scheme": scheme,
            "network": network.label,
            "frames": len(frames),
            "fp32_psnr_db": _finite(np.mean(scores)),
            "least_fp32_psnr_db": _finite(np.min(scores)),
            "weight_bytes": weight_bytes,
        }


def _finite(decibels: np.floating) -> float | None:
    """None of what is equal: JSON has no infinity."""
    return float(decibels) if np.isfinite(decibels) else None


def _frames(request: NetworkAccuracyRequest) -> list[Frame]:
    network = request.network
    if not network.takes_photographs:
        tensors = network.calibration_tensors()
        return [tuple(one.numpy() for one in each) for each in tensors]
    if not request.on_calibration:
        return photo_frames(request.size, network.channels)
    return [
        frame_of(fit_photo(photo, *request.size, "resize")[0])
        for photo in network.calibration_photos()
    ]
