"""How many instructions a frame executes on an emulated arm64 board: ours beside LiteRT's."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from compile.support.cli import run_command, set_up_logging, stderr

if TYPE_CHECKING:
    from bench.counts.count_target import TargetInstructions
    from device.emulated.arm64.count_instructions import Counts

_SCHEME = "mixed"
# The longest name of a layer does not break.
_LAYER_WIDTH = 48
_NOTE = "instruction counts of an EMULATED board, not times"


@dataclass(frozen=True)
class Options:
    """Count the instructions of one frame on an emulated arm64 board, one thread: our build and
    LiteRT's network of the same scheme (mixed), with the ratio, and ours kernel by kernel. The same
    on every machine and at any load; but these are counts, not times: bench/README.md.

    Example: python bench/instructions.py --target cortex-a76 --target cortex-a55
    """

    target: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Arm64 machine that our build is made for, cortex-a76 unless given; may be repeated."""

    size: str = "256x256"
    """Height x width in pixels. LiteRT has files for 256x256 and 768x1280."""

    rows: int = 15
    """Rows of the table of kernels; the JSON has all."""

    json: bool = False
    """Print all counts as JSON to stdout instead of tables."""


def main() -> None:
    """Entry point of `python bench/instructions.py`."""
    run_command(Options, _count)


def _count(options: Options) -> None:
    set_up_logging(verbose=False)
    counted = _count_targets(options)
    if options.json:
        targets = [target.as_json() for target in counted]
        print(json.dumps({"note": _NOTE, "size": options.size, "targets": targets}, indent=1))
        return
    for target in counted:
        _print_engines(target)
        _print_kernels(target, options.rows)


def _count_targets(options: Options) -> list[TargetInstructions]:
    import os

    from bench.counts.count_target import check_is_arm64, count_target
    from bench.peers.peer_files import SIZES, litert_name, peer_file
    from bench.session.rows import size_text
    from compile.build_network import BuildRequest, build_network, parse_size, quantized_program
    from compile.imaging.bundled import bundled_photos
    from compile.imaging.fit_size import fit_photo
    from compile.imaging.read_photo import read_photo
    from compile.support.errors import MqnetError
    from compile.support.progress import Progress
    from device.emulated.arm64.board_core import board_core
    from device.emulated.arm64.command import check_board
    from device.emulated.arm64.count_instructions import count_on_board
    from device.emulated.arm64.make_root import default_root
    from targets.load_target import load_target

    size = parse_size(options.size)
    known = [size_text(size) for size in SIZES]
    if options.size not in known:
        raise MqnetError(
            f"size {options.size} has no LiteRT network to be beside: give {' or '.join(known)}"
        )
    specs = [load_target(name) for name in dict.fromkeys(options.target or ("cortex-a76",))]
    for spec in specs:
        check_is_arm64(spec)
    cores = {spec.name: board_core(spec.processor.cpu) for spec in specs}
    root = default_root(os.environ)
    check_board(root)
    network = peer_file(litert_name(_SCHEME, size))
    picture, _ = fit_photo(read_photo(bundled_photos("test")[0]), *size, "resize")
    litert: dict[str, Counts] = {}
    progress = Progress(stderr)
    for core in cores.values():
        if core.name not in litert:
            with progress.phase(f"LiteRT on an emulated {core.title}"):
                litert[core.name] = count_on_board(root, network, picture, core).frame
    requests = [
        BuildRequest(spec.name, _SCHEME, size=size, threads=1, out=_folder(spec.name, size))
        for spec in specs
    ]
    with progress.phase("quantize"):
        program = quantized_program(requests[0])
    counted = []
    for request in requests:
        progress.say(request.target)
        artefact = build_network(request, progress, program)
        core = cores[request.target]
        with progress.phase(f"ours on an emulated {core.title}"):
            counted.append(count_target(root, core, artefact, picture, litert[core.name]))
    return counted


def _folder(target: str, size: tuple[int, int]) -> Path:
    return Path("build/instructions") / f"{target}-{_SCHEME}-{size[0]}x{size[1]}"


def _print_engines(counted: TargetInstructions) -> None:
    from rich.console import Console
    from rich.table import Table

    core = counted.core
    caption = "ratio: instructions of LiteRT mixed / instructions of the row"
    if core.title.lower() != core.model:
        caption += (
            f"\nQEMU has no model of the {core.title}: its {core.model} executes the same "
            "instructions, and LiteRT is told the part number that it chooses kernels by"
        )
    table = Table(title=f"{counted.target} as {core.title}: {_NOTE}", caption=caption)
    table.add_column("engine")
    for column in ("million instructions", "NEON", "loads and stores", "dot products", "ratio"):
        table.add_column(column, justify="right")
    for engine, counts in (("tvm", counted.ours), ("litert", counted.litert)):
        figures = counts.instructions, counts.simd, counts.loads_stores, counts.dot_products
        ratio = counted.litert.instructions / counts.instructions
        table.add_row(f"{engine} {_SCHEME}", *map(_millions, figures), f"{ratio:.2f}")
    Console(width=140).print(table)


def _print_kernels(counted: TargetInstructions, rows: int) -> None:
    from rich.console import Console
    from rich.table import Table

    total = counted.ours.instructions
    in_kernels = sum(kernel.counts.instructions for kernel in counted.kernels)
    table = Table(
        title=f"{counted.target}, kernel by kernel: {_NOTE}",
        caption=f"{_millions(total - in_kernels)} million between the kernels, in the virtual "
        "machine and in its caller",
    )
    table.add_column("first layer", min_width=_LAYER_WIDTH)
    table.add_column("kernel", overflow="fold")
    for column in ("calls", "million instructions", "share", "MMAC", "MAC / instruction"):
        table.add_column(column, justify="right")
    table.add_column("schedule")
    for kernel in counted.kernels[:rows]:
        count = kernel.counts.instructions
        table.add_row(
            next(iter(kernel.layers), ""),
            kernel.name,
            str(kernel.calls),
            _millions(count),
            f"{count / total:.1%}",
            f"{kernel.macs / 1e6:.1f}" if kernel.macs else "",
            f"{kernel.macs / count:.2f}" if kernel.macs else "",
            kernel.schedule,
        )
    Console(width=160).print(table)


def _millions(count: int) -> str:
    return f"{count / 1e6:.2f}"


if __name__ == "__main__":
    main()
