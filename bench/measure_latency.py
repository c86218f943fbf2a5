"""Everything that ``bench/latency.py`` does once its options are read."""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

import torch

from bench.engines.engine import Job
from bench.engines.registry import ENGINES, engine_named
from bench.own_builds import OwnBuilds
from bench.peers.network_files import check_weights, files_of
from bench.session.device import Device, device_environment, open_device
from bench.session.environment import describe_environment, describe_repository
from bench.session.interleave import Measured, measure
from bench.session.rows import make_run, size_text
from bench.session.run_file import RunFile
from compile.artefact.compatibility import TargetNeeds
from compile.artefact.reader import Artefact, check_runs_here, open_artefact
from compile.build_request import parse_size
from compile.imaging.compare_outputs import compare_pictures, compare_tensors
from compile.imaging.photo_frames import photo_frames
from compile.networks.network import Network
from compile.networks.registry import MQNET, built_network, find_network
from compile.networks.run_module import run_on_frame
from compile.quantize.schemes import SCHEMES
from compile.support.atomic import make_folder
from compile.support.errors import MqnetError, TargetError
from compile.support.frame import Frame
from compile.support.progress import Progress
from device.client.address import DeviceAddress
from device.runtime.run_artefact import check_threads
from targets.load_target import HOST_NAME, load_target

ALL = "all"
"""Every engine that the target has a use for, or every scheme that an engine has."""

_OUR_ENGINE = "tvm"


@dataclass(frozen=True)
class LatencyRequest:
    """What to time.

    Attributes:
        target: that our builds are made for, by name.
        artefacts: folders of builds that are timed as they are, instead of making some.
        sizes: height x width in pixels, such as "256x256"; of the builds where these are given.
        threads: per frame; each is a session of its own.
        against: names of other engines by commas, or :data:`ALL`; None for the usual one.
        schemes: names by commas, or :data:`ALL`.
        seconds: that each engine is measured for in each session.
        device: that computes; None where this machine does.
        out: file of the results; builds are made beside it.
        network: that our builds are made of, by name or FILE.py:FUNCTION.
    """

    target: str
    artefacts: tuple[Path, ...]
    sizes: tuple[str, ...]
    threads: tuple[int, ...]
    against: str | None
    schemes: str
    seconds: float
    device: DeviceAddress | None
    out: Path
    network: str = MQNET


def measure_latency(
    request: LatencyRequest, keep: Callable[[RunFile], None], progress: Progress
) -> None:
    """Time everything that ``request`` names, and hand the results to ``keep``: also those of a
    session that is cut short, before the error is raised.

    Raises:
        MqnetError: one of its kinds, for each mistake that a user can mend; also where nothing
            could be measured.
        KeyboardInterrupt: Ctrl-C.
    """
    if not 0 < request.seconds < inf:
        raise MqnetError(f"seconds {request.seconds:g} is not a positive number")
    folders = dict.fromkeys(Path(os.path.realpath(path)) for path in request.artefacts)
    artefacts = [open_artefact(folder) for folder in folders]
    network = _network(request, artefacts)
    usual = "litert" if network.name == MQNET else "pytorch-compiled"
    request = replace(request, network=_text(network), against=request.against or usual)
    sizes = _sizes(request, network, artefacts)
    networks = [
        one
        for one in choose_networks(request)
        if (artefacts or _is_buildable(*one, request, network))
        and (request.against != ALL or _has_files(one[0], network))
    ]
    environment = _checked_environment(request, artefacts) | {"network": network.title}
    files = None
    if network.name != MQNET and any(ENGINES[name].reads_files for name, _ in networks):
        files = check_weights(network, network.load(None))
    make_folder(request.out.parent)
    most = max(request.threads)
    builds = OwnBuilds(request.target, most, request.out.parent, progress, network)
    results: list[Measured] = []
    try:
        for size, threads in itertools.product(sizes, dict.fromkeys(request.threads)):
            jobs = [
                replace(job, network=network.name, parameters=network.parameters, files=files)
                for job in make_jobs(networks, artefacts, size, threads, builds)
            ]
            _session(jobs, network, request, results, progress)
    finally:
        if results:
            keep(make_run(results, environment))
    _check_any_is_measured(results, request.out)


def choose_networks(request: LatencyRequest) -> list[tuple[str, str]]:
    """Return (engine, scheme) of everything that is asked for, ours first.

    Raises:
        MqnetError: an unknown engine or scheme, or one that the target has no use for.
    """
    spec = load_target(request.target)
    # LiteRT's GPU is no peer of a processor.
    beside = [
        name
        for name, engine in ENGINES.items()
        if not (engine.standalone if spec.gpu else engine.runs_on_gpu)
        and (request.network == MQNET or engine.takes_any_network or engine.reads_files)
    ]
    names = [
        name for name in beside if not (ENGINES[name].exact_threads or ENGINES[name].standalone)
    ]
    if request.against != ALL:
        names = [_OUR_ENGINE, *(request.against.split(",") if request.against else [])]
        for name in names[1:]:
            _check_engine(name, request, beside)
    known = {scheme for engine in ENGINES.values() for scheme in engine.schemes}
    wanted = known if request.schemes == ALL else set(request.schemes.split(","))
    for scheme in wanted - known:
        raise MqnetError(f"unknown scheme {scheme!r}: choose of {', '.join(sorted(known))}, or all")
    lacking = set()
    if request.schemes == ALL:
        lacking = {name for name, scheme in SCHEMES.items() if not scheme.runs_on(spec)}
    return [
        (name, scheme)
        for name in dict.fromkeys(names)
        for scheme in ENGINES[name].schemes
        if scheme in wanted and not (ENGINES[name].is_ours and scheme in lacking)
    ]


def _is_buildable(name: str, scheme: str, request: LatencyRequest, network: Network) -> bool:
    """Whether ``network`` has this scheme, where that is ours: a file that is quantized already has
    one, and one in float cannot be calibrated here."""
    if not ENGINES[name].is_ours or not (network.scheme or request.schemes == ALL):
        return True
    try:
        network.check_scheme(scheme, SCHEMES[scheme].calibrates)
    except MqnetError:
        return False
    return True


def _has_files(name: str, network: Network) -> bool:
    """Whether the engine needs no files of ``network``, or has them."""
    runs = network.name == MQNET or not ENGINES[name].reads_files
    return runs or files_of(network).is_dir()


def make_jobs(
    networks: Sequence[tuple[str, str]],
    artefacts: Sequence[Artefact],
    size: tuple[int, int],
    threads: int,
    builds: OwnBuilds,
) -> list[Job]:
    """Return what is timed together; our own networks are built first, unless they are given."""
    ours = [(_OUR_ENGINE, artefact) for artefact in artefacts if artefact.size == size]
    if not artefacts:
        ours = [
            (name, builds.get(name, scheme, size, threads))
            for name, scheme in networks
            if ENGINES[name].is_ours
        ]
    builds_of_ours = [artefact for _, artefact in ours]
    chosen = [_chosen_instruction_set(artefact) for artefact in builds_of_ours]
    labels = _labels(builds_of_ours, chosen) if artefacts else chosen
    jobs = [
        Job(
            name,
            artefact.manifest.scheme,
            size,
            threads,
            artefact.library.parent,
            planned_bytes=artefact.manifest.whole.activation_bytes,
            weight_bytes=artefact.manifest.whole.weight_bytes,
            coverage=artefact.manifest.coverage,
            on_gpu=artefact.manifest.on_gpu,
            build=label,
        )
        for (name, artefact), label in zip(ours, labels, strict=True)
    ]
    return jobs + [
        Job(name, scheme, size, threads, on_gpu=ENGINES[name].runs_on_gpu)
        for name, scheme in networks
        if not ENGINES[name].is_ours
    ]


def _chosen_instruction_set(artefact: Artefact) -> str:
    """Name the instruction set of a build for the host, where it is not the one that this machine
    is found to have; "" for others."""
    target = artefact.manifest.target
    if not target.variant or target.variant == load_target(HOST_NAME).variant:
        return ""
    return target.variant


def _labels(artefacts: Sequence[Artefact], instruction_sets: Sequence[str]) -> list[str]:
    """For each of ``artefacts``, all of one size, what tells it from others of its scheme; its
    instruction set where there is none."""
    schemes = Counter(artefact.manifest.scheme for artefact in artefacts)
    names = Counter(artefact.library.parent.name for artefact in artefacts)
    labels = []
    for artefact, instruction_set in zip(artefacts, instruction_sets, strict=True):
        folder = artefact.library.parent
        label = folder.name if names[folder.name] == 1 else str(folder)
        labels.append(label if schemes[artefact.manifest.scheme] > 1 else instruction_set)
    return labels


def _check_engine(name: str, request: LatencyRequest, beside: Sequence[str]) -> None:
    engine = engine_named(name)
    if request.network != MQNET and not (engine.takes_any_network or engine.reads_files):
        raise MqnetError(
            f"{name} runs MQNet only, and network {request.network} is asked for: leave that "
            "engine out"
        )
    if not (engine.image_weights or engine.exact_threads or engine.standalone):
        return
    if request.artefacts:
        raise MqnetError(
            f"{name} is built by the session, and --artefact names builds instead: leave one of "
            "them out"
        )
    if name not in beside and engine.standalone:
        raise MqnetError(
            f"target {request.target} is a GPU, and {name} runs on processors: leave that engine "
            "out"
        )
    if name not in beside:
        raise MqnetError(
            f"target {request.target} is no GPU, so it has no images for {name}: leave that engine "
            "out, or name a GPU, such as linux-mali"
        )


def _network(request: LatencyRequest, artefacts: Sequence[Artefact]) -> Network:
    """The network of the builds, or the one that is asked for.

    Raises:
        MqnetError: the builds are of several networks, or of another one.
    """
    if not artefacts:
        return find_network(request.network, {})
    manifests = [artefact.manifest for artefact in artefacts]
    titles = list(dict.fromkeys(manifest.network for manifest in manifests))
    if len(titles) > 1:
        raise MqnetError(
            f"the builds are of networks {' and '.join(titles)}, and one is timed at a time: leave "
            "the others out"
        )
    first = manifests[0]
    network = built_network(first.network, first.parameters)
    if request.network not in (first.network, _text(network)) and request.network != MQNET:
        raise MqnetError(
            f"network {request.network} is asked for, and the build is of {first.network}: leave "
            "one of them out"
        )
    return network


def _text(network: Network) -> str:
    """What a user asks for ``network`` by."""
    return network.parameters.get("source", network.name)


def _sizes(
    request: LatencyRequest, network: Network, artefacts: Sequence[Artefact]
) -> list[tuple[int, int]]:
    if not artefacts:
        usual = "256x256" if network.any_size and not network.size else None
        sizes = request.sizes or (usual,)
        return list(dict.fromkeys(parse_size(size, network) for size in sizes))
    if request.sizes:
        raise MqnetError(
            f"size {request.sizes[0]} cannot be given with --artefact, whose build has a size: "
            "leave one of them out"
        )
    return list(dict.fromkeys(artefact.size for artefact in artefacts))


def _checked_environment(request: LatencyRequest, artefacts: Sequence[Artefact]) -> dict[str, Any]:
    """What the machine says of itself that computes; MqnetError where it cannot run all of it,
    before anything is built."""
    if request.device is None:
        _check_threads(request.threads, len(os.sched_getaffinity(0)))
        for artefact in artefacts:
            check_runs_here(artefact)
            check_threads(artefact, max(request.threads))
        return describe_environment()
    with open_device(request.device) as device:
        _check_threads(request.threads, device.facts.get("cores"))
        _check_builds_run_there(request, artefacts, device)
        return device_environment(device) | describe_repository()


def _check_threads(wanted: Sequence[int], cores: int | None) -> None:
    for threads in wanted:
        if threads < 1 or (cores is not None and threads > cores):
            most = f"the {cores} cores there are" if cores else "the device's cores"
            raise MqnetError(f"threads {threads} is not between 1 and {most}")


def _check_builds_run_there(
    request: LatencyRequest, artefacts: Sequence[Artefact], device: Device
) -> None:
    for artefact in artefacts:
        device.check_runs(artefact.manifest.target.name, artefact.needs)
        check_threads(artefact, max(request.threads))
    if not artefacts:
        spec = load_target(request.target)
        device.check_runs(spec.name, TargetNeeds.of(spec))


def _session(
    jobs: Sequence[Job],
    network: Network,
    request: LatencyRequest,
    results: list[Measured],
    progress: Progress,
) -> None:
    """Time ``jobs`` and add what was found to ``results``, also where the session was cut short.

    Raises:
        KeyboardInterrupt: Ctrl-C.
        TargetError: the device cannot be had, or went away.
    """
    size, threads = jobs[0].size, jobs[0].threads
    frames = _frames(network, size)
    with contextlib.ExitStack() as stack:
        step = stack.enter_context(progress.phase(f"{size_text(size)}, threads: {threads}"))
        step.describe("PyTorch")
        net = network.load(network.weights(fine_tuned=False))
        wrapper = network.export_wrapper(net, torch.float32).eval()
        with contextlib.redirect_stdout(sys.stderr):  # A user's network may print.
            references = [run_on_frame(wrapper, frame) for frame in frames]
        device = None
        if request.device is not None:
            device = stack.enter_context(open_device(request.device, threads))
        compare = compare_tensors
        if network.makes_pictures:
            compare = partial(compare_pictures, decode=network.decode)
        results += measure(
            jobs, frames, references, request.seconds, step.describe, device, compare
        )
    if any(result.problem == "interrupted" for result in results):
        raise KeyboardInterrupt
    if device is not None and device.gone:
        raise TargetError(
            f"{request.device} was lost in the middle ({device.gone}): what was measured before is "
            f"in {request.out}, and marked; see what device/serve.py says there, or start it again"
        )


def _frames(network: Network, size: tuple[int, int]) -> list[Frame]:
    """The bundled photographs at ``size``, or the network's own tensors."""
    if not network.takes_photographs:
        return [tuple(tensor.numpy() for tensor in network.example_inputs(*size))]
    return photo_frames(size, network.channels)


def _check_any_is_measured(results: Sequence[Measured], out: Path) -> None:
    if any(result.wall for result in results):
        return
    first = results[0]
    raise MqnetError(
        f"nothing was measured: {first.job.engine} {first.job.scheme}: {first.problem}; the flags "
        f"in {out} say it of every engine"
    )
