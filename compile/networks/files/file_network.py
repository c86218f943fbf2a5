"""A network from a file of another tool."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from compile.imaging.bundled import bundled_photos
from compile.imaging.read_photo import read_photo
from compile.networks.files.folder_tensors import folder_tensors
from compile.networks.files.network_file import NetworkFile, Size
from compile.networks.files.onnx.read_onnx import read_onnx
from compile.networks.files.program_file import read_program_file
from compile.networks.files.tflite.read_tflite import read_tflite
from compile.networks.sourced_network import SourcedNetwork, folder_photos, with_channels
from compile.support.checksum import sha256_of
from compile.support.errors import MqnetError

_READERS: dict[str, Callable[[Path], NetworkFile]] = {
    ".pt2": read_program_file,
    ".tflite": read_tflite,
    ".onnx": read_onnx,
}

FILE_SUFFIXES = tuple(_READERS)
"""Of files that are read."""


def is_network_file(text: str) -> bool:
    """Whether ``text``, what a user asks for, names a file that is read."""
    return Path(text).suffix.lower() in _READERS


@dataclass(frozen=True)
class FileNetwork(SourcedNetwork):
    """The network in the file ``source``, at the one size that it has there, if it has one.

    One picture, float32 [1, channels, H, W] in [0, 1], or one that is quantized so, is a
    photograph. All else are tensors; those that are quantized are taken and given as real numbers.

    Attributes:
        calibrate: folder of photographs, or of files of tensors, to choose scales on, or "".
    """

    name: ClassVar[str] = "file"

    @property
    def label(self) -> str:
        """The file's name."""
        return Path(self.source).stem

    @property
    def title(self) -> str:
        """The file's name."""
        return self.label

    @property
    def takes_photographs(self) -> bool:  # type: ignore[override]
        """Whether the file's only input is a picture."""
        return _read(self.source).takes_photographs

    @property
    def makes_pictures(self) -> bool:  # type: ignore[override]
        """Whether the file's only output is one, of a photograph."""
        file = _read(self.source)
        return file.takes_photographs and file.makes_picture

    @property
    def input_names(self) -> tuple[str, ...]:  # type: ignore[override]
        """The file's."""
        return _read(self.source).input_names

    @property
    def output_names(self) -> tuple[str, ...]:  # type: ignore[override]
        """The file's."""
        return _read(self.source).output_names

    @property
    def channels(self) -> int:  # type: ignore[override]
        """Of the file's input."""
        return _read(self.source).channels

    @property
    def size(self) -> Size | None:
        """The file's, if it has one."""
        return _read(self.source).size

    @property
    def scheme(self) -> str:
        """The file's."""
        return _read(self.source).scheme

    @property
    def content(self) -> str:
        """Of the file and of the photographs to calibrate on."""
        folder = Path(self.calibrate)
        paths = sorted(folder.iterdir()) if self.calibrate and folder.is_dir() else []
        files = [Path(self.source), *(path for path in paths if path.is_file())]
        return " ".join(map(sha256_of, files))

    def make(self) -> nn.Module:
        """A copy of the file's module."""
        return copy.deepcopy(_read(self.source).module)

    def architecture(self) -> nn.Module:
        """The file's module, on the device "meta"."""
        return self.make().to("meta")

    def example_inputs(self, height: int, width: int) -> tuple[Tensor, ...]:
        """A photograph of a size, or for each tensor random numbers, or zeros of integers."""
        if self.takes_photographs:
            return super().example_inputs(height, width)
        random = torch.Generator().manual_seed(0)
        return tuple(
            torch.randn(one.shape, generator=random) if one.is_floating_point() else one.clone()
            for one in _read(self.source).inputs
        )

    def calibration_tensors(self) -> Sequence[tuple[Tensor, ...]]:
        """Those of the folder."""
        file = _read(self.source)
        if not self.calibrate:
            return (self.example_inputs(*self.default_size),)
        return folder_tensors(Path(self.calibrate), file.input_names, file.inputs)

    def calibration_photos(self) -> Sequence[NDArray[np.uint8]]:
        """Those of the folder; bundled ones where nothing is calibrated on them."""
        if self.calibrate:
            return folder_photos(Path(self.calibrate), self.channels)
        photos = map(read_photo, bundled_photos("calibration"))
        return [with_channels(photo, self.channels) for photo in photos]

    def check_scheme(self, scheme: str, calibrates: bool) -> None:
        """Raise where the file has another scheme, or photographs are missing or of no use.

        Raises:
            MqnetError: it says what to leave out or to add.
        """
        own = self.scheme
        if own and scheme != own:
            raise MqnetError(
                f"network {self.source} is quantized already, as {own}: leave --scheme {scheme} out"
            )
        for option, value in (("head", self.head), ("calibrate", self.calibrate)):
            if own and value:
                raise MqnetError(
                    f"network {self.source} is quantized already: leave --{option} out"
                )
        if calibrates and not own and not self.calibrate:
            what = "photographs" if self.takes_photographs else "files of its tensors (.npz)"
            raise MqnetError(
                f"network {self.source} is in float, and scheme {scheme} needs scales of int8 "
                f"activations: give a folder of {what} with --calibrate, or --scheme fp32"
            )

    def fitting_size(self, height: int, width: int) -> Size:
        """The file's size, or the same where it has none.

        Raises:
            MqnetError: the photograph is of another.
        """
        self.check_size(height, width)
        return height, width

    def check_size(self, height: int, width: int) -> None:
        """Raise where the size is not the file's.

        Raises:
            MqnetError: it says which is.
        """
        if not self.takes_photographs:
            super().check_size(height, width)
        elif self.size is not None and (height, width) != self.size:
            own = "{}x{}".format(*self.size)
            raise MqnetError(
                f"network {self.source} takes {own} and not {height}x{width}: leave --size out, "
                "or make the file for that size"
            )


def _read(source: str) -> NetworkFile:
    path = Path(source)
    if not path.is_file():
        raise MqnetError(f"network {path} is no file: give one that there is")
    facts = path.stat()
    return _read_once(path, facts.st_mtime_ns, facts.st_size)


@cache
def _read_once(path: Path, _time: int, _size: int) -> NetworkFile:
    """A file that was written anew is another."""
    try:
        return _READERS[path.suffix.lower()](path)
    except OSError as error:
        raise MqnetError(f"network {path} cannot be read: {error.strerror}") from None
