"""What a frame makes a Mali execute, kernel by kernel, as Mesa's compiler compiles it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import tyro

from compile.quantize.schemes import SchemeName
from compile.support.cli import run_command, set_up_logging, stderr

if TYPE_CHECKING:
    from bench.counts.gpu_target import GpuFrame, GpuKernel

# The longest name of a layer does not break.
_LAYER_WIDTH = 48
_NOTE = "counts by Mesa's compiler, not times"


@dataclass(frozen=True)
class Options:
    """Compile every kernel of our build for a Mali by Mesa's compiler, which needs no Mali, and
    count what its work items execute: instructions, loads and stores, registers that did not
    suffice. The same on every machine; but these are counts, not times: bench/README.md.

    Example: python bench/gpu_instructions.py --target linux-mali --size 768x1280
    """

    target: str = "linux-mali"
    """GPU that the build is made for; its file has to name one that Mesa knows."""

    size: str = "256x256"
    """Height x width in pixels."""

    scheme: SchemeName = "mixed"
    """Quantization scheme."""

    image_weights: bool = False
    """Read int8 weights from images, through the texture unit, instead of buffers."""

    family: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Only kernels of this family, as word_conv; may be repeated. All of them take some minutes."""

    rows: int = 20
    """Rows of the table of kernels; the JSON has all."""

    json: bool = False
    """Print all counts as JSON to stdout instead of tables."""


def main() -> None:
    """Entry point of `python bench/gpu_instructions.py`."""
    run_command(Options, _count)


def _count(options: Options) -> None:
    set_up_logging(verbose=False)
    frame = _count_frame(options)
    if options.json:
        print(
            json.dumps(
                {
                    "note": _NOTE,
                    "target": frame.target,
                    "device": frame.device,
                    "size": options.size,
                    "scheme": options.scheme,
                    "image_weights": options.image_weights,
                    "of_a_frame": asdict(frame.total),
                    "kernels": [kernel.as_json() for kernel in frame.kernels],
                },
                indent=1,
            )
        )
        return
    _print(frame, options.rows)


def _count_frame(options: Options) -> GpuFrame:
    import os

    from bench.counts.gpu_target import check_has_compiler, count_gpu_frame
    from compile.build_network import BuildRequest, parse_size
    from compile.support.progress import Progress
    from device.emulated.mali.compile_kernels import check_compiler
    from device.emulated.mali.make_compiler import default_compiler
    from targets.load_target import load_target

    size, spec = parse_size(options.size), load_target(options.target)
    check_has_compiler(spec)
    root = default_compiler(os.environ)
    check_compiler(root)
    request = BuildRequest(
        *(spec.name, options.scheme), size=size, threads=1, image_weights=options.image_weights
    )
    return count_gpu_frame(root, spec, request, options.family, Progress(stderr))


def _print(frame: GpuFrame, rows: int) -> None:
    from rich.console import Console
    from rich.table import Table

    total = frame.total
    table = Table(
        title=f"{frame.target} on a {frame.device}: {_NOTE}",
        caption=f"A frame: {_millions(total.instructions)} million instructions of work items, "
        f"{_millions(total.accesses)} million loads and stores, {_millions(total.fetches)} million "
        "pixels of images. With more than 32 registers half as many work items run at once. Both "
        "sides of a condition are counted.",
    )
    table.add_column("first layer", min_width=_LAYER_WIDTH)
    table.add_column("kernel", overflow="fold")
    for column in (
        "calls",
        "work items",
        "registers",
        "spills",
        "instructions of an item",
        "loads, stores",
        "million instructions",
        "million loads, stores",
        "million pixels",
        "MAC / load, store",
    ):
        table.add_column(column, justify="right")
    table.add_column("schedule")
    for kernel in frame.kernels[:rows]:
        table.add_row(*_cells(kernel))
    Console(width=200).print(table)


def _cells(kernel: GpuKernel) -> list[str]:
    total, item = kernel.total, kernel.counts
    return [
        next(iter(kernel.layers), ""),
        kernel.launch.name.removesuffix("_kernel"),
        str(kernel.calls),
        f"{kernel.launch.work_items:,}",
        str(kernel.shader.registers),
        str(kernel.shader.spills + kernel.shader.fills or ""),
        str(item.instructions),
        str(item.accesses),
        _millions(total.instructions),
        _millions(total.accesses),
        _millions(total.fetches) if total.fetches else "",
        f"{kernel.macs / total.accesses:.1f}" if kernel.macs else "",
        kernel.schedule,
    ]


def _millions(count: int) -> str:
    return f"{count / 1e6:.2f}"


if __name__ == "__main__":
    main()
