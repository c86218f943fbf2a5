"""A build's folder: the shared library and ``manifest.json``, which says what it is.

The manifest is written last, so a folder with a manifest that matches its library is whole.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compile.artefact.compatibility import GpuNeeds, MachineFacts, TargetNeeds, why_not
from compile.codegen.link.elf import read_machine
from compile.support.atomic import write_atomically
from compile.support.checksum import sha256_of
from compile.support.errors import ArtefactError, OutputError

LIBRARY = "mqnet.so"
MANIFEST = "manifest.json"

#: Raised when a key of the manifest changes its meaning.
FORMAT = 2


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

    @property
    def needs(self) -> TargetNeeds:
        """What it demands of the machine that runs it."""
        target = self.manifest["target"]
        opencl = target.get("opencl")
        gpu = opencl and GpuNeeds(opencl["work_group"], opencl["integer_dot_product"])
        return TargetNeeds(read_machine(self.library), target["requires"], target["linker"], gpu)


@contextlib.contextmanager
def staged_artefact(folder: Path) -> Iterator[Path]:
    """A hidden folder in ``folder`` to write an artefact into; on leaving, it takes its place.

    Whatever stops the build leaves ``folder`` as it was: not there, or with an older artefact.

    Raises:
        OutputError: ``folder`` cannot be made or written to: said before the work, not after.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    work = None
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            work = Path(tempfile.mkdtemp(prefix=".", dir=folder))
        except OSError as error:
            raise OutputError(f"cannot write to folder {folder}: {error.strerror}") from None
        yield work
        # Renaming takes no space, so that a full disk cannot come between the two.
        # The manifest last: it says which files belong together.
        for path in sorted(work.iterdir(), key=lambda path: path.name == MANIFEST):
            os.replace(path, folder / path.name)
    finally:
        if work is not None:
            shutil.rmtree(work, ignore_errors=True)
        for path in made:
            with contextlib.suppress(OSError):
                path.rmdir()  # Only where it is empty.


def write_manifest(
    folder: Path, manifest: dict[str, Any], libraries: tuple[str, ...] = (LIBRARY,)
) -> None:
    """Write ``manifest`` into ``folder``, with the format and the sha256 of ``libraries`` added.

    Raises:
        OutputError: it cannot be written.
    """
    files = {name: {"sha256": sha256_of(folder / name)} for name in libraries}
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
    _check_facts(folder / MANIFEST, manifest)
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


def _check_facts(path: Path, manifest: dict[str, Any]) -> None:
    """Raise where the ``manifest`` lacks something that loading and running read."""
    try:
        _ = manifest["files"][LIBRARY]["sha256"], manifest["threads"]
        _ = [manifest["target"][key] for key in ("name", "requires", "linker")]
        _, _, _, _ = manifest["input"]["shape"]
        _ = manifest["parts"][-1]["activation_bytes"]
    except (LookupError, TypeError, ValueError) as error:
        raise ArtefactError(f"{path} is damaged ({error!r}): build it again") from None


def check_runs_here(artefact: Artefact, gpu: Mapping[str, Any] | None = None) -> None:
    """Raise where this machine cannot execute the ``artefact``.

    Args:
        artefact: a whole build.
        gpu: what :func:`device.runtime.opencl_device.describe_opencl` tells of this machine; no GPU
            is judged without it.

    Raises:
        ArtefactError: another machine's instruction set, or no GPU that can run its kernels.
    """
    reason = why_not(artefact.needs, MachineFacts.here(gpu))
    if reason is not None:
        raise ArtefactError(
            f"{artefact.library} was built for target {artefact.manifest['target']['name']}, but "
            f"{reason}; to run on this machine's processor, build it with --target host"
        )
