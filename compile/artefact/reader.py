"""Opens a build's folder, and refuses one that is not whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compile.artefact.compatibility import GpuNeeds, MachineFacts, TargetNeeds, why_not
from compile.artefact.manifest import FORMAT, LIBRARY, MANIFEST, Manifest
from compile.codegen.link.elf import read_machine
from compile.support.checksum import sha256_of
from compile.support.errors import ArtefactError
from compile.support.frame import frame_size
from compile.support.json_record import read_record


@dataclass(frozen=True)
class Artefact:
    """A complete build on disk.

    Attributes:
        library: path of the shared library.
        manifest: what ``manifest.json`` says of it.
    """

    library: Path
    manifest: Manifest

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels of the image that it takes; of tensors what stands for it."""
        first = self.manifest.inputs[0]
        return frame_size(first.shape, first.layout)

    def check_makes_pictures(self) -> None:
        """Raise where the network does not make a picture in colour of one of the same size.

        Raises:
            ArtefactError: it can be timed, and no photograph sent through it.
        """
        before, after = self.manifest.inputs[0].shape, self.manifest.outputs[0].shape
        is_picture = self.manifest.takes_photographs and self.manifest.makes_pictures
        if is_picture and before[3] == 3 and after == before:
            return
        found = ["x".join(map(str, shape[1:])) for shape in (before, after)]
        raise ArtefactError(
            f"{self.library.parent} makes {found[1]} of {found[0]}: only a network that keeps the "
            "height, the width and the 3 channels of a photograph makes a picture of one; -o out/ "
            "--format npz writes what it gives"
        )

    @property
    def needs(self) -> TargetNeeds:
        """What it demands of the machine that runs it."""
        target, opencl = self.manifest.target, self.manifest.target.opencl
        gpu = None
        if opencl is not None:
            gpu = GpuNeeds(opencl.work_group, opencl.integer_dot_product)
        return TargetNeeds(read_machine(self.library), target.requires, target.linker, gpu)


def open_artefact(folder: Path) -> Artefact:
    """Open the build in ``folder``, checked to be whole.

    Raises:
        ArtefactError: no build, an incomplete or damaged one, or one of another format.
    """
    manifest = read_manifest(folder / MANIFEST)
    for name, facts in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise ArtefactError(f"{path} is missing: build it again")
        if sha256_of(path) != facts.sha256:
            raise ArtefactError(
                f"{path} does not have the sha256 that {MANIFEST} names: it was changed or damaged "
                "after the build, build it again"
            )
    return Artefact(folder / LIBRARY, manifest)


def read_manifest(path: Path) -> Manifest:
    """Read a manifest.

    Raises:
        ArtefactError: there is none, it is damaged, or of another format.
    """
    if not path.exists():
        raise ArtefactError(
            f"{path.parent} holds no {MANIFEST}: give a folder that compile/build.py has written"
        )
    return read_record(path, Manifest, FORMAT, "build it again", ArtefactError)


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
            f"{artefact.library} was built for target {artefact.manifest.target.name}, but "
            f"{reason}; to run on this machine's processor, build it with --target host"
        )
