"""Writes a build's folder: everything beside its place, then in one move, the manifest last.

A folder with a manifest that matches its libraries is therefore whole.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from compile.artefact.manifest import MANIFEST, PROGRAM_ENDING, FileFacts, Manifest
from compile.support.atomic import write_atomically
from compile.support.checksum import sha256_of
from compile.support.errors import OutputError
from compile.support.scratch_folder import scratch_folder


@contextlib.contextmanager
def staged_artefact(folder: Path) -> Iterator[Path]:
    """Yield a hidden folder in ``folder`` to write a build into; on leaving, it takes its place.

    Whatever stops the build leaves ``folder`` as it was: not there, or with an older build.

    Raises:
        OutputError: ``folder`` cannot be made or written to: said before the work, not after.
    """
    made = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        with contextlib.ExitStack() as stack:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                work = stack.enter_context(scratch_folder(".", folder))
            except OSError as error:
                raise OutputError(f"cannot write to folder {folder}: {error.strerror}") from None
            yield work
            # Renaming takes no space, so that a full disk cannot come between the two.
            # The manifest last: it says which files belong together.
            files = sorted(work.iterdir(), key=lambda path: path.name == MANIFEST)
            before = _files_of(folder)
            for path in files:
                os.replace(path, folder / path.name)
            for name in before - {path.name for path in files}:
                (folder / name).unlink(missing_ok=True)
    finally:
        for path in made:
            with contextlib.suppress(OSError):
                path.rmdir()  # Only where it is empty.


def _files_of(folder: Path) -> set[str]:
    """Names of the files of an older build, which are not of the one that takes its place."""
    try:
        files = json.loads((folder / MANIFEST).read_text())["files"]
    except (OSError, ValueError, LookupError, TypeError):
        return set()
    # What a file says must not lead out of the folder.
    return {name for name in files if name == Path(name).name}


def make_executable(folder: Path, names: Iterable[str]) -> None:
    """Let those of the files ``names`` in ``folder`` be run that are programs."""
    for name in names:
        if name.endswith(PROGRAM_ENDING):
            (folder / name).chmod(0o755)


def describe_files(folder: Path, libraries: Iterable[str]) -> dict[str, FileFacts]:
    """Return the checksums of ``libraries``, which are in ``folder``, by file name."""
    return {name: FileFacts(sha256_of(folder / name)) for name in libraries}


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write ``manifest`` into ``folder``, in which its files are.

    Raises:
        OutputError: it cannot be written.
    """
    # TVM's strings are no str to msgspec. What passes here can be read again.
    checked = msgspec.convert(msgspec.to_builtins(manifest, enc_hook=str), Manifest)
    text = json.dumps(checked.as_json(), indent=2) + "\n"
    write_atomically(folder / MANIFEST, text.encode())
