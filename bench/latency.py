"""Latency of our builds beside other engines, timed in turns in one session."""

from __future__ import annotations

import contextlib
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from compile.support.cli import run_command, set_up_logging, stderr

if TYPE_CHECKING:
    from bench.engines.engine import Job
    from bench.session.device import Device
    from bench.session.session import Measured
    from compile.artefact.artefact import Artefact
    from device.client.address import DeviceAddress

_FORMAT = 1


@dataclass(frozen=True)
class Options:
    """Time our builds beside other engines, their frames taken in turns, with accuracy beside
    speed: on this machine, each engine in a process of its own, pinned; or on a device that a TVM
    tracker knows.

    Example: python bench/latency.py --against all --size 256x256 --size 768x1280 --threads 2

    On a device (bench/README.md): python bench/latency.py --tracker 127.0.0.1:9190 --key my-board
    --target cortex-a76
    """

    target: str = "host"
    """Machine that our builds are made for: this one, or the device."""

    artefact: tyro.conf.UseAppendAction[tuple[Path, ...]] = ()
    """Folder of a build to be timed as it is, instead of making some; may be repeated."""

    size: tyro.conf.UseAppendAction[tuple[str, ...]] = ()
    """Height x width in pixels, 256x256 unless given; may be repeated. LiteRT has files for 256x256
    and 768x1280."""

    threads: tyro.conf.UseAppendAction[tuple[int, ...]] = ()
    """Threads per frame, and cores that are used for them, 1 unless given; may be repeated."""

    against: str = "litert"
    """Other engines by commas, or all: litert, onnxruntime, openvino, pytorch, pytorch-compiled,
    tvm-stock, and for a GPU's target litert-gpu and tvm-images, which is our build with its int8
    weights in images. On a device there are these two and litert."""

    schemes: str = "all"
    """Quantization schemes, by commas, or all that an engine has."""

    seconds: float = 10
    """Measured time of each engine at each size and number of threads."""

    tracker: str | None = None
    """HOST:PORT of a TVM tracker, to time a device that device/serve.py has registered there."""

    key: str | None = None
    """Name that the tracker knows the device by."""

    out: Path = Path("build/latency/run.json")
    """File for the rows, the single times and the environment, as JSON."""

    json: bool = False
    """Print what --out holds to stdout instead of a table."""


def main() -> None:
    """Entry point of `python bench/latency.py`."""
    run_command(Options, _measure)


def _measure(options: Options) -> None:
    set_up_logging(verbose=False)
    import os

    from bench.session.device import device_environment, open_device
    from bench.session.environment import describe_environment, describe_repository
    from bench.session.print_rows import print_rows
    from bench.session.rows import make_rows, size_text
    from compile.artefact.artefact import open_artefact
    from compile.support.atomic import make_folder, write_atomically
    from compile.support.errors import MqnetError
    from device.client.address import device_address

    if options.seconds <= 0:
        raise MqnetError(f"seconds {options.seconds:g} is not a positive number")
    artefacts = [open_artefact(folder) for folder in options.artefact]
    sizes = _sizes(options, artefacts)
    networks = _networks(options)
    address = device_address(options.tracker, options.key)
    if address is None:
        cores: int | None = len(os.sched_getaffinity(0))
        _check_threads(options, cores)
        _check_builds(options, artefacts, None)
        environment = describe_environment()
    else:
        with open_device(address) as device:
            cores = device.facts.get("cores")
            _check_threads(options, cores)
            _check_builds(options, artefacts, device)
            environment = device_environment(device) | describe_repository()
    make_folder(options.out.parent)
    results: list[Measured] = []
    ended: BaseException | None = None
    try:
        for size, threads in itertools.product(sizes, options.threads or (1,)):
            jobs = _jobs(options, networks, artefacts, size, threads)
            _session(jobs, options, address, results)
    except (KeyboardInterrupt, MqnetError) as error:
        # What was measured before is kept, and said to be a part.
        if not results:
            raise
        ended = error
    run = {
        "format": _FORMAT,
        "rows": make_rows(results, environment),
        "environment": environment,
        "samples": [
            {"engine": r.job.engine, "scheme": r.job.scheme, "size": size_text(r.job.size)}
            | {"threads": r.job.threads, "seconds": r.wall}
            for r in results
        ],
    }
    text = json.dumps(run, indent=1)
    write_atomically(options.out, text.encode())
    if options.json:
        print(text)
    else:
        print_rows(run["rows"], environment)
        print(options.out)
    if ended is not None:
        raise ended


def _sizes(options: Options, artefacts: Sequence[Artefact]) -> list[tuple[int, int]]:
    from compile.build_network import parse_size
    from compile.support.errors import MqnetError

    if not artefacts:
        return [parse_size(size) for size in options.size or ("256x256",)]
    if options.size:
        raise MqnetError(
            f"size {options.size[0]} cannot be given with --artefact, whose build has a size: "
            "leave one of them out"
        )
    return list(dict.fromkeys(artefact.size for artefact in artefacts))


def _networks(options: Options) -> list[tuple[str, str]]:
    """(engine, scheme) of everything that is asked for, ours first."""
    from bench.engines import OURS, SCHEMES
    from compile.support.errors import MqnetError

    engines = _all_engines(options.target)
    if options.against != "all":
        engines = ["tvm", *options.against.split(",")]
    for engine in engines:
        if engine not in SCHEMES:
            raise MqnetError(f"unknown engine {engine!r}: choose of {', '.join(SCHEMES)}, or all")
        if engine == "tvm-images" and options.artefact and options.against != "all":
            raise MqnetError(
                f"{engine} is built by the session, and --artefact names builds instead: leave one "
                "of them out"
            )
        if engine == "tvm-images" and engine not in _all_engines(options.target):
            raise MqnetError(
                f"target {options.target} is no GPU, so it has no images for {engine}: leave that "
                "engine out, or name a GPU, such as linux-mali"
            )
    known = {scheme for schemes in SCHEMES.values() for scheme in schemes}
    wanted = known if options.schemes == "all" else set(options.schemes.split(","))
    for scheme in wanted - known:
        raise MqnetError(f"unknown scheme {scheme!r}: choose of {', '.join(sorted(known))}, or all")
    lacking = _lacking(options.target) if options.schemes == "all" else set()
    return [
        (engine, scheme)
        for engine in dict.fromkeys(engines)
        for scheme in SCHEMES[engine]
        if scheme in wanted and not (engine in OURS and scheme in lacking)
    ]


def _all_engines(target: str) -> list[str]:
    """Those that a session for ``target`` is about: LiteRT's GPU is no peer of a processor."""
    from bench.engines import FOR_GPUS, SCHEMES
    from targets.load_target import load_target

    on_gpu = load_target(target).gpu is not None
    return [engine for engine in SCHEMES if on_gpu or engine not in FOR_GPUS]


def _lacking(target: str) -> set[str]:
    """Schemes that do not run there."""
    from compile.quantize.schemes import SCHEMES
    from targets.load_target import load_target

    spec = load_target(target)
    return {name for name, scheme in SCHEMES.items() if not scheme.runs_on(spec)}


def _check_threads(options: Options, cores: int | None) -> None:
    from compile.support.errors import MqnetError

    for threads in options.threads:
        if threads < 1 or (cores is not None and threads > cores):
            most = f"the {cores} cores there are" if cores else "the device's cores"
            raise MqnetError(f"threads {threads} is not between 1 and {most}")


def _check_builds(options: Options, artefacts: Sequence[Artefact], device: Device | None) -> None:
    """Raise where what is to be timed cannot run there: before it is built."""
    from compile.artefact.artefact import check_runs_here
    from compile.artefact.compatibility import TargetNeeds
    from targets.load_target import load_target

    for artefact in artefacts:
        if device is None:
            check_runs_here(artefact)
        else:
            device.check_runs(artefact.manifest.target.name, artefact.needs)
    if not artefacts and device is not None:
        spec = load_target(options.target)
        device.check_runs(spec.name, TargetNeeds.of(spec))


def _jobs(
    options: Options,
    networks: list[tuple[str, str]],
    artefacts: Sequence[Artefact],
    size: tuple[int, int],
    threads: int,
) -> list[Job]:
    """What is timed together; our own networks are built first, unless they are given."""
    from bench.engines import FOR_GPUS, OURS
    from bench.engines.engine import Job

    ours = [("tvm", artefact) for artefact in artefacts if artefact.size == size] or [
        (engine, _build(options, engine, scheme, size, threads))
        for engine, scheme in networks
        if engine in OURS and not artefacts
    ]
    jobs = [
        Job(
            *(engine, artefact.manifest.scheme, size, threads, artefact.library.parent),
            planned_bytes=artefact.manifest.whole.activation_bytes,
            on_gpu=artefact.manifest.on_gpu,
        )
        for engine, artefact in ours
    ]
    others = [(engine, scheme) for engine, scheme in networks if engine not in OURS]
    return jobs + [
        Job(engine, scheme, size, threads, on_gpu=engine in FOR_GPUS) for engine, scheme in others
    ]


def _build(
    options: Options, engine: str, scheme: str, size: tuple[int, int], threads: int
) -> Artefact:
    from bench.session.rows import size_text
    from compile.build_network import BuildRequest, build_network
    from compile.support.progress import Progress

    images = engine == "tvm-images"
    name = f"{options.target}-{scheme}-{size_text(size)}-{threads}{'-images' if images else ''}"
    stderr.print(f"{engine} {scheme}, {size_text(size)}, {threads} threads", highlight=False)
    request = BuildRequest(
        *(options.target, scheme),
        size=size,
        threads=threads,
        out=options.out.parent / name,
        image_weights=images,
    )
    return build_network(request, Progress(stderr))


def _session(
    jobs: list[Job],
    options: Options,
    address: DeviceAddress | None,
    results: list[Measured],
) -> None:
    """Time ``jobs`` and add what was found to ``results``, also where the session was cut short.

    Raises:
        KeyboardInterrupt: Ctrl-C.
        TargetError: the device cannot be had, or went away.
    """
    from bench.session.device import open_device
    from bench.session.rows import size_text
    from bench.session.session import measure
    from compile.imaging.bundled import bundled_photos
    from compile.imaging.fit_size import fit_photo
    from compile.imaging.read_photo import read_photo
    from compile.networks.export_wrapper import ExportWrapper
    from compile.networks.mqnet.checkpoints import load_checkpoint
    from compile.networks.mqnet.run_pytorch import run_module
    from compile.support.errors import TargetError
    from compile.support.progress import Progress

    photos = [
        fit_photo(read_photo(path), *jobs[0].size, "resize")[0] for path in bundled_photos("test")
    ]
    network = ExportWrapper(load_checkpoint(None, "ca")).eval()
    references = [run_module(network, photo) for photo in photos]
    title = f"{size_text(jobs[0].size)}, {jobs[0].threads} threads"
    there = contextlib.nullcontext() if address is None else open_device(address, jobs[0].threads)
    with there as device, Progress(stderr).phase(title) as step:
        results += measure(
            *(jobs, photos, references, options.seconds),
            step.describe,
            device,
        )
    if any(result.problem == "interrupted" for result in results):
        raise KeyboardInterrupt
    if device is not None and device.gone:
        raise TargetError(
            f"{address} was lost in the middle ({device.gone}): what was measured before is in "
            f"{options.out}, and marked; see what device/serve.py says there, or start it again"
        )


if __name__ == "__main__":
    main()
