"""What a frame makes a Mali execute, kernel by kernel, as Mesa's compiler compiles it."""

from __future__ import annotations

import compile.support.early_interruption  # noqa: F401

import json
import os
from dataclasses import asdict, dataclass

import tyro

from compile.quantize.schemes import SchemeName
from compile.support.cli import run_command, set_up_logging, stderr


@dataclass(frozen=True)
class Options:
    """Compile every kernel of our build for a Mali by Mesa's compiler, which needs no Mali, and
    count what its work items execute: instructions, loads and stores, registers that did not
    suffice. The same on every machine; but these are counts, not times: docs/measuring.md.

    Example: python bench/gpu_instructions.py --target linux-mali --size 768x1280
    """

    target: str = "linux-mali"
    """GPU that the build is made for; its file has to name one that Mesa knows."""

    size: str = "256x256"
    """Height x width in pixels."""

    scheme: SchemeName = "mixed"
    """Quantization scheme."""

    network: str = "mqnet"
    """What to compile, by name, FILE.py:FUNCTION or a file, as of compile/build.py."""

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
    # torch and TVM take seconds to import: only once the options are known to be sound.
    from bench.counts.gpu_target import NOTE, count_gpu_frame
    from bench.counts.print_gpu_frame import print_gpu_frame
    from compile.build_request import BuildRequest, parse_size
    from compile.networks.registry import find_network
    from compile.support.progress import Progress
    from device.emulated.mali.make_compiler import default_compiler

    network = find_network(options.network, {})
    request = BuildRequest(
        options.target,
        options.scheme,
        network,
        size=parse_size(options.size, network),
        threads=1,
        image_weights=options.image_weights,
    )
    root = default_compiler(os.environ)
    frame = count_gpu_frame(root, request, options.family, Progress(stderr))
    if not options.json:
        print_gpu_frame(frame, options.rows)
        return
    told = {
        "note": NOTE,
        "target": frame.target,
        "device": frame.device,
        "size": options.size,
        "scheme": options.scheme,
        "image_weights": options.image_weights,
        "of_a_frame": asdict(frame.total),
        "kernels": [kernel.as_json() for kernel in frame.kernels],
    }
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
