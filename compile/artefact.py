"""A build's folder: the shared library and ``manifest.json``, which says what it is.

The manifest is written last, so a folder with a manifest that matches its library is whole.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compile.atomic import write_atomically
from compile.errors import ArtefactError
from targets.elf import read_machine
from targets.runs_here import why_not_here

LIBRARY = "mqnet.so"
MANIFEST = "manifest.json"

#: Raised when a key of the manifest changes its meaning.
FORMAT = 1


@dataclass(frozen=True)
class Artefact:
    """A complete build on disk.

    Attributes:
        library: path of the shared library.
        manifest: what ``manifest.json`` holds.
    """

    library: Path
    manifest: dict[str, Any]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels of the picture that it takes."""
        _, height, width, _ = self.manifest["input"]["shape"]
        return height, width


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write ``manifest`` into ``folder``, with the format and the library's sha256 added.

    Raises:
        OutputError: it cannot be written.
    """
    files = {LIBRARY: {"sha256": sha256_of(folder / LIBRARY)}}
    whole = {"format": FORMAT, **manifest, "files": files}
    write_atomically(folder / MANIFEST, (json.dumps(whole, indent=2) + "\n").encode())


def open_artefact(folder: Path) -> Artefact:
    """The build in ``folder``, checked to be whole.

    Raises:
        ArtefactError: no build, an incomplete or damaged one, or one of another format.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
    except FileNotFoundError:
        raise ArtefactError(
            f"{folder} holds no {MANIFEST}: give a folder that compile/build.py has written"
        ) from None
    except (OSError, ValueError) as error:
        raise ArtefactError(
            f"{folder / MANIFEST} cannot be read ({error}): build it again"
        ) from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ArtefactError(f"{folder / MANIFEST} is not of format {FORMAT}: build it again")
    for name, facts in manifest["files"].items():
        path = folder / name
        if not path.is_file():
            raise ArtefactError(f"{path} is missing: build it again")
        if sha256_of(path) != facts["sha256"]:
            raise ArtefactError(
                f"{path} does not have the sha256 that {MANIFEST} names: it was changed or damaged "
                "after the build, build it again"
            )
    return Artefact(folder / LIBRARY, manifest)


def check_runs_here(artefact: Artefact) -> None:
    """Raise where this machine cannot execute the ``artefact``.

    Raises:
        ArtefactError: another machine's instruction set.
    """
    target = artefact.manifest["target"]
    machine = read_machine(artefact.library)
    reason = why_not_here(machine, target["requires"], target["linker"])
    if reason is not None:
        raise ArtefactError(
            f"{artefact.library} was built for target {target['name']}, but {reason}: build it "
            "here with --target host"
        )


def sha256_of(path: Path) -> str:
    """Hexadecimal sha256 of the file at ``path``."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
