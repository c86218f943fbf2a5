"""How far a quantized network is from its float32, on photographs that scales were not chosen on.

The quantized network is PyTorch's. The compiled one has the same integers but for ties and the same
floats but for the order of additions (``bench/accuracy.py`` holds both to 0.1 dB of each other),
and where an emulated board takes minutes for a frame PyTorch takes a second.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch.export import ExportedProgram

from compile.build_request import BuildRequest
from compile.imaging.compare_outputs import compare_pictures, compare_tensors
from compile.imaging.fit_size import fit_photo
from compile.imaging.photo_frames import photo_frames
from compile.networks.network import Network
from compile.networks.run_module import run_on_frame
from compile.networks.sourced_network import folder_photos
from compile.quantize.one_thread import one_thread
from compile.support.frame import Frame, frame_of

# Of outputs that are equal: JSON has no infinity.
_MOST_DB = 200.0


@dataclass(frozen=True)
class ExactOutputs:
    """What a network makes in float32.

    Attributes:
        network: any.
        frames: its inputs.
        outputs: for each of those.
    """

    network: Network
    frames: Sequence[Frame]
    outputs: Sequence[Frame]

    def decibels(self, program: ExportedProgram) -> list[float]:
        """What ``program`` has on each frame: of a picture the PSNR in mu-law light, of tensors the
        signal to noise."""
        compare = compare_tensors
        if self.network.makes_pictures:
            compare = partial(compare_pictures, decode=self.network.decode)
        module = program.module()
        with one_thread():
            made = [run_on_frame(module, frame) for frame in self.frames]
        pairs = zip(made, self.outputs, strict=True)
        return [min(_MOST_DB, compare(found, exact)) for found, exact in pairs]


def exact_outputs(request: BuildRequest, photos: Path | None) -> ExactOutputs:
    """Compute what the network of ``request`` makes in float32 of the photographs in the folder
    ``photos``, by default of those that come with the project for tests.

    Raises:
        MqnetError: there are none, or the network cannot be loaded.
    """
    network, frames = request.network, _frames(request, photos)
    with contextlib.redirect_stdout(sys.stderr), one_thread():
        net = network.load(request.weights)
        wrapper = network.export_wrapper(net, torch.float32).eval()
        return ExactOutputs(network, frames, [run_on_frame(wrapper, frame) for frame in frames])


def _frames(request: BuildRequest, photos: Path | None) -> list[Frame]:
    network, size = request.network, request.size
    if not network.takes_photographs:
        tensors = network.calibration_tensors()
        return [tuple(one.numpy() for one in each) for each in tensors]
    if photos is None:
        return photo_frames(size, network.channels)
    found = folder_photos(photos, network.channels)
    return [frame_of(fit_photo(photo, *size, "resize")[0]) for photo in found]
