"""The HDR scenes of a folder, by their role; what cannot be used is reported and left out."""

from __future__ import annotations

import logging
from pathlib import Path

from compile.support.errors import DataError, PhotoError
from compile.training.scenes.catalogue import is_flat, role_of
from compile.training.scenes.read_hdr import ENDINGS, read_hdr, read_panorama
from compile.training.scenes.views import Panorama, Picture, Place

log = logging.getLogger(__name__)


def load_places(folder: Path, role: str, device: str = "cpu") -> dict[str, Place]:
    """The scenes in ``folder`` (OpenEXR and Radiance) that have ``role``, by name, sorted: 2:1
    panoramas, and those that the catalogue says are flat pictures, to look at on ``device``.

    A file that cannot be used is logged as a warning and skipped.

    Raises:
        DataError: no such folder, or not one scene of that role in it.
    """
    if not folder.is_dir():
        raise DataError(
            f"{folder} is no folder: fetch the scenes with python compile/scenes.py fetch"
        )
    places: dict[str, Place] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in ENDINGS or role_of(path.stem) != role:
            continue
        try:
            flat = is_flat(path.stem)
            light = read_hdr(path) if flat else read_panorama(path)
            places[path.stem] = (Picture if flat else Panorama)(light, device)
        except PhotoError as error:
            log.warning("skipped: %s", error)
    if not places:
        raise DataError(
            f"{folder} holds no {role} scene that can be used: fetch them with "
            "python compile/scenes.py fetch, or add 2:1 .exr or .hdr files"
        )
    return places
