"""Which file each photograph is written to: what ``compile/infer.py -o`` means."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from compile.imaging.write_hdr import ENCODERS, check_ending
from compile.support.errors import OutputError, PhotoError
from compile.support.outputs import check_output_files, check_output_folder
from device.runtime.tensor_files import TENSOR_ENDINGS


def plan_outputs(
    photos: Sequence[str], output: str, kind: str | None, artefact: Path, usual: str = "avif"
) -> list[tuple[Path, Path]]:
    """(photograph, file to write) for each of ``photos``.

    An ``output`` that is a folder, or that ends in ``/``, is a folder, in which each photograph
    gets a file of its name; another is one file, whatever the number of photographs.

    Args:
        photos: paths as they were given.
        output: a path as it was given.
        kind: of the files in a folder, such as "avif"; ``usual`` unless given; of one file its
            ending says so.
        artefact: folder that is read, too.
        usual: the kind where none is given.

    Raises:
        OutputError: an unknown ending, one that ``kind`` contradicts, a file for several
            photographs, two photographs that would be written to one file, or an output that is
            one of the inputs.
        PhotoError: no photograph is given, or one without a name.
    """
    if not photos:
        raise OutputError("no photograph is given: name at least one file")
    paths = [_photo(photo) for photo in photos]
    is_folder = output.endswith(("/", "/.", "/..")) or os.path.isdir(output)
    targets = (
        _in_folder(paths, Path(output), kind or usual) if is_folder else _one(paths, output, kind)
    )
    check_output_files(targets, [*paths, artefact])
    return list(zip(paths, targets, strict=True))


def _photo(text: str) -> Path:
    path = Path(text)
    if path.name in ("", ".."):
        raise PhotoError(
            f"{text} is a folder: name the photographs in it, such as {path / '*.jpg'}"
        )
    return path


def _one(photos: Sequence[Path], output: str, kind: str | None) -> list[Path]:
    path = Path(output)
    check_output_files([path])
    if len(photos) > 1:
        raise OutputError(
            f"{output} is one file for {len(photos)} photographs: name a folder, as {output}/"
        )
    if not path.suffix:
        raise OutputError(
            f"{output} has no ending and is no folder: end it in "
            f"{', '.join((*ENCODERS, *TENSOR_ENDINGS))}, or in / for a new folder"
        )
    if path.suffix.lower() not in TENSOR_ENDINGS:
        check_ending(path)
    if kind is not None and path.suffix.lower() != f".{kind}":
        raise OutputError(
            f"{output} is not what --format {kind} asks for: leave one of them out, or name a "
            f"folder, as {path.parent}/"
        )
    return [path]


def _in_folder(photos: Sequence[Path], folder: Path, kind: str) -> list[Path]:
    check_output_folder(folder)
    targets = [folder / photo.with_suffix(f".{kind}").name for photo in photos]
    taken: dict[str, Path] = {}
    for photo, target in zip(photos, targets, strict=True):
        # Two links in the folder may lead to one file, too.
        before = taken.setdefault(os.path.realpath(target), photo)
        if before is not photo and before == photo:
            raise OutputError(f"{photo} is given twice: name it once")
        if before is not photo:
            raise OutputError(
                f"two photographs would be written to {target}, {before} and {photo}: rename one"
            )
    return targets
