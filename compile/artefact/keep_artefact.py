"""An artefact in the build cache: found by what it is built from, without torch or TVM."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from importlib.metadata import distributions
from pathlib import Path

import msgspec

from compile.artefact.reader import Artefact, open_artefact
from compile.artefact.writer import make_executable, staged_artefact
from compile.codegen.link.linkers import find_compiler, find_lld
from compile.records.log_places import find_logs
from compile.support.atomic import write_atomically
from compile.support.build_cache import BuildCache, content_of, key_of
from compile.support.errors import CheckpointError
from compile.support.progress import Progress
from targets.detect_host import read_host_machine
from targets.load_target import is_path

_KIND = "artefact"

# What decides how a network is quantized, lowered and linked.
_SOURCES = ("compile", "targets", "device/runtime/native")


class KeptArtefact(msgspec.Struct, frozen=True):
    """The files of a build.

    Attributes:
        folder: where it was written to, unless the user named another place.
        files: content by name.
    """

    folder: str
    files: dict[str, bytes]


def request_facts(
    *,
    target: str,
    scheme: str,
    network: str,
    parameters: Mapping[str, str],
    size: str,
    threads: int | None,
    ndk_compiler: Path | None,
    on_processor: str | None,
    image_weights: bool = False,
    content: str = "",
    recipe: str | None = None,
    standalone: bool = False,
    tiles: bool = False,
) -> dict[str, object]:
    """Name what decides what is built, but for the checkpoint, as plain data for a key."""
    facts: dict[str, object] = dict(locals())
    facts["ndk_compiler"] = ndk_compiler and os.fspath(ndk_compiler)
    return facts


def artefact_key(facts: Mapping[str, object], checkpoint: Path | None, logs: Path | None) -> str:
    """Compute the key of the artefact of a request: of its ``facts`` as JSON, the content of its
    ``checkpoint`` and of the tuning ``logs``, this machine, its linkers, all packages, and the
    project's own code.

    Raises:
        CheckpointError: the checkpoint cannot be read.
    """
    machine = read_host_machine()
    try:
        weights = None if checkpoint is None else checkpoint.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(f"checkpoint {checkpoint} does not exist") from None
    except OSError as error:
        raise CheckpointError(f"cannot read {checkpoint}: {error.strerror}") from None
    # A user's own target file is not among the project's sources.
    target = str(facts["target"])
    own = Path(target).read_bytes() if is_path(target) and Path(target).is_file() else None
    linkers = find_lld(), find_compiler(("cc",)), find_compiler(("aarch64-linux-gnu-gcc",))
    packages = sorted(f"{found.name}=={found.version}" for found in distributions())
    records = (path.read_bytes() for log in find_logs(logs) for path in sorted(log.glob("*.json")))
    return key_of(
        json.dumps(facts, sort_keys=True),
        weights,
        own,
        f"{machine.arch} {sorted(machine.flags)} {machine.cpu_family} {machine.model}",
        f"{machine.cores} {machine.l1d_bytes} {machine.l2_bytes}",
        *(None if one is None else f"{one.name()} {one.version()}" for one in linkers),
        *packages,
        *records,
        content_of(_SOURCES),
    )


def keep_artefact(
    cache: BuildCache, key: str, default: Path, work: Path, names: Sequence[str]
) -> None:
    """Put the files ``names`` of ``work`` into ``cache``, with the folder that they are written to
    by ``default``."""
    files = {name: (work / name).read_bytes() for name in names}
    cache.put(_KIND, key, msgspec.msgpack.encode(KeptArtefact(os.fspath(default), files)))


def restore_artefact(
    cache: BuildCache, key: str, out: Path | None, progress: Progress
) -> Artefact | None:
    """Write what ``cache`` holds under ``key`` into ``out``, by default the folder that it was made
    for, and open it; None where it holds nothing.

    Raises:
        OutputError: the folder cannot be written to.
    """
    content = cache.get(_KIND, key)
    if content is None:
        return None
    kept = msgspec.msgpack.decode(content, type=KeptArtefact)
    folder = out or Path(kept.folder)
    with progress.phase("from the build cache"), staged_artefact(folder) as work:
        for name, file in kept.files.items():
            write_atomically(work / name, file)
        make_executable(work, kept.files)
    return open_artefact(folder)
