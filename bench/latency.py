"""Latency of our builds beside other engines, timed in turns in one session."""

from __future__ import annotations

import compile.support.early_interruption  # noqa: F401

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from compile.support.cli import OUT, run_command, set_up_logging, stderr

if TYPE_CHECKING:
    from bench.session.run_file import RunFile

_FOLDER = Path("build/latency")


@dataclass(frozen=True)
class Options:
    """Time our builds beside other engines, their frames taken in turns, with accuracy beside
    speed: on this machine, each engine in a process of its own, pinned; or on a device that a TVM
    tracker knows.

    Example: python bench/latency.py --against all --size 256x256 --size 768x1280 --threads 2

    On a device (docs/devices.md): python bench/latency.py --tracker 127.0.0.1:9190 --key my-board
    --target cortex-a76
    """

    target: str = "host"
    """Machine that our builds are made for: this one, or the device."""

    instruction_set: str | None = None
    """Of --target host: an instruction set of this machine's, such as avx2 where it has more
    (docs/targets.md lists all); the widest it has unless given. The other engines choose theirs
    by themselves."""

    network: str = "mqnet"
    """What our builds are made of, by name or FILE.py:FUNCTION, as of compile/build.py. Of another
    network than MQNet there are no files for litert, onnxruntime and openvino."""

    artefact: tyro.conf.UseAppendAction[tuple[Path, ...]] = ()
    """Folder of a build to be timed as it is, instead of making some; may be repeated."""

    size: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Height x width in pixels, 256x256 unless given; may be repeated. LiteRT has files for 256x256
    and 768x1280."""

    threads: tyro.conf.UseAppendAction[tuple[int, ...]] = ()
    """Threads per frame, and cores that are used for them, 1 unless given; may be repeated: the
    same build runs with each."""

    against: str | None = None
    """Other engines by commas, or all; litert unless given, and pytorch-compiled for another
    network than MQNet. There are litert, onnxruntime, openvino, pytorch, pytorch-compiled,
    tvm-stock, tvm-exact, which is our build made for each number of threads, and tvm-standalone,
    our build without TVM, which are not in all; and for a GPU's target litert-gpu and tvm-images,
    which is our build with its int8 weights in images. On a device there are these and litert."""

    schemes: str = "all"
    """Quantization schemes, by commas, or all that an engine has."""

    seconds: float = 10
    """Measured time of each engine at each size and number of threads."""

    tracker: str | None = None
    """HOST:PORT of a TVM tracker, to time a device that device/serve.py has registered there."""

    key: str | None = None
    """Name that the tracker knows the device by."""

    out: Annotated[Path | None, OUT] = None
    """File for the rows, the single times and the environment, as JSON; a new one below
    build/latency, named after the target and the time, unless given."""

    json: bool = False
    """Print what --out holds to stdout instead of a table."""


def main() -> None:
    """Entry point of `python bench/latency.py`."""
    run_command(Options, _measure)


def _measure(options: Options) -> None:
    set_up_logging(verbose=False)
    # torch and TVM take seconds to import: only once the options are known to be sound. An engine's
    # process imports this file, too, and may not have them at all.
    from bench.measure_latency import LatencyRequest, measure_latency
    from bench.session.print_rows import print_rows
    from bench.session.run_file import new_run_file
    from compile.support.atomic import write_atomically
    from compile.support.outputs import check_output_files
    from compile.support.progress import Progress
    from device.client.address import device_address
    from targets.load_target import target_name, with_instruction_set

    device = device_address(options.tracker, options.key)
    target = with_instruction_set(options.target, options.instruction_set)
    out = options.out or new_run_file(_FOLDER, options.key or target_name(target), datetime.now())
    check_output_files([out], options.artefact)
    request = LatencyRequest(
        target=target,
        network=options.network,
        artefacts=options.artefact,
        sizes=options.size,
        threads=options.threads or (1,),
        against=options.against,
        schemes=options.schemes,
        seconds=options.seconds,
        device=device,
        out=out,
    )

    def keep(run: RunFile) -> None:
        write_atomically(out, run.as_json().encode())
        if options.json:
            print(run.as_json())
        else:
            print_rows(run)
            print(out)

    measure_latency(request, keep, Progress(stderr))


if __name__ == "__main__":
    main()
