"""A network of the user's own, and what they say of it beside its source."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import fx

from compile.imaging.read_photo import read_photo
from compile.networks.export_wrapper import ROOT
from compile.networks.module_network import ModuleNetwork
from compile.networks.parts import Parts, last_convolutions, module_path, parts_by_head
from compile.support.errors import MqnetError

log = logging.getLogger(__name__)

_PHOTOS = (
    *(".jpg", ".jpeg", ".png"),
    *(".heic", ".heif", ".avif", ".webp", ".tif", ".tiff", ".jxl"),
)
# That would be taken for such as are used.
_OTHER_PHOTOS = (
    *(".bmp", ".gif", ".jfif"),
    *(".dng", ".arw", ".cr2", ".cr3", ".nef", ".orf", ".raf", ".rw2"),
)
_MOST_NAMED = 5


@dataclass(frozen=True)
class SourcedNetwork(ModuleNetwork):
    """A network from a file of the user's.

    Attributes:
        source: the file, and what of it.
        head: path of the module that keeps float activations under a scheme with two precisions,
            or of several, with commas between; "" for :attr:`own_heads`, or the last convolutions.
        own_heads: the same, of the source itself.
        calibrate: folder of photographs to choose scales on, or "".
    """

    source: str
    head: str = ""
    calibrate: str = ""

    own_heads: ClassVar[str] = ""

    def parts(self, graph: fx.Graph) -> Parts:
        """By :attr:`head` or :attr:`own_heads`."""
        named = self.head or self.own_heads
        heads = [head.strip() for head in named.split(",") if head.strip()]
        return parts_by_head(graph, ROOT, [f"{self.module_path}.{head}" for head in heads])

    def explain_parts(self, graph: fx.Graph) -> None:
        """Say where the head begins where nobody has."""
        if not self.head and not self.own_heads:
            root = f"{self.module_path}."
            last = {module_path(node).removeprefix(root) for node in last_convolutions(graph)}
            log.warning(
                "%s: the head begins at %s: name another module with --head",
                self.label,
                " and ".join(sorted(last)) or "its end, since it has no convolution",
            )


def folder_photos(folder: Path, channels: int) -> Sequence[NDArray[np.uint8]]:
    """The photographs of ``folder``, uint8 [H, W, channels].

    Raises:
        MqnetError: it is no folder, holds none, or the network takes other pictures.
    """
    if not folder.is_dir():
        raise MqnetError(f"calibrate {folder} is no folder: give one that holds photographs")
    # Hidden ones are no photographs, whatever their ending: macOS leaves ._NAME.jpg on other disks.
    files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    paths = [path for path in files if path.suffix.lower() in _PHOTOS]
    if not paths:
        raise MqnetError(f"calibrate {folder} holds no photograph ({', '.join(_PHOTOS)})")
    if others := [path.name for path in files if path.suffix.lower() in _OTHER_PHOTOS]:
        log.warning(
            "calibrate %s: photographs of other kinds than %s are left out: %s",
            folder,
            ", ".join(_PHOTOS),
            ", ".join(others[:_MOST_NAMED]) + (" and more" if len(others) > _MOST_NAMED else ""),
        )
    return [with_channels(read_photo(path), channels) for path in paths]


def with_channels(photo: NDArray[np.uint8], channels: int) -> NDArray[np.uint8]:
    """``photo``, uint8 [H, W, 3], in so many channels: 3, or 1 for grey.

    Raises:
        MqnetError: there are others.
    """
    if channels == 3:
        return photo
    if channels == 1:
        return photo.mean(axis=2, keepdims=True).round().astype(np.uint8)
    raise MqnetError(
        f"photographs have 3 channels or, in grey, 1, and the network takes {channels}: it cannot "
        "be calibrated on them"
    )
