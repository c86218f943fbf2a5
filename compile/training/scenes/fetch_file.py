"""Scenes that are files of public repositories: from their addresses, or from a folder."""

from __future__ import annotations

import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from compile.support.checksum import sha256_of
from compile.support.errors import DataError
from compile.training.scenes.catalogue import RepositoryFile

#: Of a file of a commit.
_ADDRESS = "https://raw.githubusercontent.com/{repository}/{commit}/{path}"
_SECONDS = 30.0
#: The largest panorama of the catalogue has 7 MB.
_MOST_BYTES = 64 << 20


def download_file(source: RepositoryFile, folder: Path) -> Path:
    """Download ``source`` into ``folder``.

    Raises:
        DataError: no network, no such file, or one with another sha256.
    """
    path = folder / Path(source.path).name
    address = _ADDRESS.format(
        repository=source.repository, commit=source.commit, path=urllib.parse.quote(source.path)
    )
    try:
        with urllib.request.urlopen(address, timeout=_SECONDS) as answer:
            path.write_bytes(answer.read(_MOST_BYTES))
    except OSError as error:
        reason = getattr(error, "reason", error)
        raise DataError(f"{source.path} of {source.title} cannot be fetched: {reason}") from error
    _check(path, source.sha256, f"{source.path} of {source.title}")
    return path


def find_file(source: RepositoryFile, name: str, folder: Path) -> Path:
    """Find the scene ``name`` of ``source`` in ``folder``, as NAME.exr.

    Raises:
        DataError: it is not there, or has another sha256.
    """
    path = folder / f"{name}.exr"
    if not path.is_file():
        raise DataError(f"{folder} holds no {path.name}")
    _check(path, source.exr_sha256, str(path))
    return path


def _check(path: Path, sha256: str, what: str) -> None:
    if sha256_of(path) != sha256:
        raise DataError(f"{what} does not have the sha256 that repositories.toml names")
