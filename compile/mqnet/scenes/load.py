"""The panoramas of a folder, by their role; what cannot be used is reported and left out."""

from __future__ import annotations

import logging
from pathlib import Path

from compile.errors import DataError, PhotoError
from compile.mqnet.scenes.catalogue import role_of
from compile.mqnet.scenes.read_hdr import ENDINGS, read_panorama
from compile.mqnet.scenes.views import Panorama

log = logging.getLogger(__name__)


def load_panoramas(folder: Path, role: str) -> dict[str, Panorama]:
    """The panoramas in ``folder`` (OpenEXR and Radiance) that have ``role``, by name, sorted.

    A file that cannot be used is logged as a warning and skipped.

    Raises:
        DataError: no such folder, or not one panorama of that role in it.
    """
    if not folder.is_dir():
        raise DataError(
            f"{folder} is no folder: fetch the panoramas with python compile/mqnet/data.py fetch"
        )
    panoramas = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in ENDINGS or role_of(path.stem) != role:
            continue
        try:
            panoramas[path.stem] = Panorama(read_panorama(path))
        except PhotoError as error:
            log.warning("skipped: %s", error)
    if not panoramas:
        raise DataError(
            f"{folder} holds no {role} panorama that can be used: fetch them with "
            "python compile/mqnet/data.py fetch, or add 2:1 .exr or .hdr files"
        )
    return panoramas
