"""Everything that ``bench/instructions.py`` does once its options are read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from bench.counts.count_target import TargetInstructions, check_is_arm64, count_target
from bench.engines.litert import LiteRT
from bench.peers.peer_files import SIZES, litert_name, peer_file
from bench.session.artefact_frame import artefact_frame
from bench.session.rows import size_text
from compile.artefact.reader import Artefact, open_artefact
from compile.build_network import build_network, quantized_program
from compile.build_request import BuildRequest, parse_size
from compile.imaging.photo_frames import photo_frames
from compile.networks.registry import MQNET
from compile.support.build_cache import user_cache
from compile.support.errors import MqnetError
from compile.support.frame import Frame
from compile.support.progress import Progress
from device.emulated.arm64.board_core import BoardCore, board_core
from device.emulated.arm64.command import check_board
from device.emulated.arm64.count_instructions import Counts, count_on_board
from device.emulated.arm64.make_root import default_root
from targets.describe_target import described_processor
from targets.load_target import load_target
from targets.timing_model import TimingModel

SCHEME = "mixed"
NOTE = "instruction counts of an EMULATED board, and cycles by a model of its core, not times"


def count_targets(
    targets: Sequence[str], size_option: str, progress: Progress
) -> list[TargetInstructions]:
    """Count the instructions of a frame for each of ``targets``, at a height x width in pixels.

    Raises:
        MqnetError: a size without a LiteRT network, a target that is not arm64, no board.
    """
    size = parse_size(size_option)
    known = [size_text(size) for size in SIZES]
    if size_option not in known:
        raise MqnetError(
            f"size {size_option} has no LiteRT network to be beside: give {' or '.join(known)}"
        )
    specs = [load_target(name) for name in dict.fromkeys(targets)]
    for spec in specs:
        check_is_arm64(spec)
    cores = {spec.name: board_core(spec.processor.cpu) for spec in specs}
    timings = {core.name: spec.timing for spec, core in zip(specs, cores.values(), strict=True)}
    root = default_root(os.environ)
    check_board(root)
    network = peer_file(litert_name(SCHEME, size))
    (frame,) = photo_frames(size, 3, 1)
    litert: dict[str, Counts] = {}
    for core in cores.values():
        if core.name not in litert:
            timing = timings[core.name]
            with progress.phase(f"LiteRT on an emulated {core.title}"):
                litert[core.name] = _count_litert(root, network, frame, core, timing)
    requests = [
        BuildRequest(
            spec.name,
            SCHEME,
            size=size,
            threads=1,
            standalone=True,
            out=_folder(spec.name, size),
        )
        for spec in specs
    ]
    cache = user_cache(os.environ)
    with progress.phase("quantize"):
        program = quantized_program(requests[0], cache)
    counted = []
    for request in requests:
        progress.say(request.target)
        artefact = build_network(request, progress, program, cache)
        core = cores[request.target]
        with progress.phase(f"ours on an emulated {core.title}"):
            beside, timing = litert[core.name], timings[core.name]
            counted.append(count_target(root, core, artefact, frame, beside, timing))
    return counted


def count_artefacts(folders: Sequence[Path], progress: Progress) -> list[TargetInstructions]:
    """Count the instructions of a frame of each of the builds in ``folders``, of any network, and
    of LiteRT's of the same scheme where there is a file of MQNet.

    Raises:
        MqnetError: no build, one that is not for arm64 or for a core that is not known, no board.
    """
    artefacts = [open_artefact(folder) for folder in folders]
    specs = [described_processor(artefact.manifest.target) for artefact in artefacts]
    for spec in specs:
        check_is_arm64(spec)
    root = default_root(os.environ)
    check_board(root)
    counted = []
    for artefact, spec in zip(artefacts, specs, strict=True):
        core, frame = board_core(spec.processor.cpu), artefact_frame(artefact)
        litert = None
        if (network := _beside(artefact)) is not None:
            with progress.phase(f"LiteRT on an emulated {core.title}"):
                litert = _count_litert(root, network, frame, core, spec.timing)
        with progress.phase(f"{artefact.library.parent} on an emulated {core.title}"):
            counted.append(count_target(root, core, artefact, frame, litert, spec.timing))
    return counted


def _count_litert(
    root: Path, network: Path, frame: Frame, core: BoardCore, timing: TimingModel | None
) -> Counts:
    return count_on_board(root, network, frame, core, "litert", timing).frame


def _beside(artefact: Artefact) -> Path | None:
    """LiteRT's file of the same network, scheme and size."""
    manifest = artefact.manifest
    known = manifest.network == MQNET and artefact.size in SIZES
    if not known or manifest.scheme not in LiteRT.schemes or manifest.attention != "ca":
        return None
    return peer_file(litert_name(manifest.scheme, artefact.size))


def _folder(target: str, size: tuple[int, int]) -> Path:
    return Path("build/instructions") / f"{target}-{SCHEME}-{size[0]}x{size[1]}"
