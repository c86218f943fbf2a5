"""Everything that ``bench/instructions.py`` does once its options are read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from bench.counts.count_target import TargetInstructions, check_is_arm64, count_target
from bench.peers.peer_files import SIZES, litert_name, peer_file
from bench.session.rows import size_text
from compile.build_network import build_network, quantized_program
from compile.build_request import BuildRequest, parse_size
from compile.imaging.bundled import bundled_photos
from compile.imaging.fit_size import fit_photo
from compile.imaging.read_photo import read_photo
from compile.support.build_cache import user_cache
from compile.support.errors import MqnetError
from compile.support.progress import Progress
from device.emulated.arm64.board_core import board_core
from device.emulated.arm64.command import check_board
from device.emulated.arm64.count_instructions import Counts, count_on_board
from device.emulated.arm64.make_root import default_root
from targets.load_target import load_target

SCHEME = "mixed"
NOTE = "instruction counts of an EMULATED board, not times"


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
    root = default_root(os.environ)
    check_board(root)
    network = peer_file(litert_name(SCHEME, size))
    picture, _ = fit_photo(read_photo(bundled_photos("test")[0]), *size, "resize")
    litert: dict[str, Counts] = {}
    for core in cores.values():
        if core.name not in litert:
            with progress.phase(f"LiteRT on an emulated {core.title}"):
                litert[core.name] = count_on_board(root, network, picture, core).frame
    requests = [
        BuildRequest(spec.name, SCHEME, size=size, threads=1, out=_folder(spec.name, size))
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
            counted.append(count_target(root, core, artefact, picture, litert[core.name]))
    return counted


def _folder(target: str, size: tuple[int, int]) -> Path:
    return Path("build/instructions") / f"{target}-{SCHEME}-{size[0]}x{size[1]}"
