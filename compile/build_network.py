"""Everything that ``compile/build.py`` does once its options are read."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import tvm
from torch.export import ExportedProgram

from compile.artefact.artefact import (
    LIBRARY,
    Artefact,
    open_artefact,
    staged_artefact,
    write_manifest,
)
from compile.artefact.describe_boundary import BoundaryTensor, describe_boundary
from compile.artefact.describe_calls import describe_calls
from compile.artefact.describe_parts import describe_kernels, describe_parts
from compile.codegen.link.link import ExportLinker, LinkOptions
from compile.graph.parts import BACKBONE, HEAD, HEAD_LIBRARY, INPUT
from compile.imaging.bundled import bundled_photos
from compile.imaging.fit_size import padded_size
from compile.imaging.read_photo import MIN_SIDE, read_photo
from compile.networks.mqnet.checkpoints import bundled_weights, load_checkpoint
from compile.pipeline import PipelineOptions, emit, plan_network
from compile.quantize.quantize import quantize_network
from compile.quantize.schemes import scheme_named
from compile.records.log_folder import records_name
from compile.split_network import (
    SplitNetwork,
    plan_split,
    split_options,
    whole_calls,
    whole_part,
)
from compile.support.atomic import make_folder, write_atomically
from compile.support.checksum import sha256_of
from compile.support.errors import MqnetError
from compile.support.progress import Progress
from compile.support.scratch_space import check_scratch_space
from targets.load_target import describe_target, load_target

#: Where records of tuning sessions are.
TUNING_LOGS = Path(__file__).parent.parent / "tuning_logs"

# A tensor of 16 channels has to stay within 32-bit indices.
_MAX_PIXELS = 1 << 26
_PACKAGES = ("apache-tvm", "apache-tvm-ffi", "torch", "torchao", "numpy", "mqnet-tvm")


@dataclass(frozen=True)
class BuildRequest:
    """What to build.

    Attributes:
        target, scheme, attention: by name.
        size: (height, width) of the picture in pixels.
        threads: per frame, or None for the target's own number.
        checkpoint: weights, or None for the bundled ones.
        out: folder to write to, or None for one below build/ that is named after the request.
        dump_ir: folder for the module behind each phase, or None.
        ndk_compiler: the Android NDK's clang, or None.
        on_processor: "backbone" or "head": the part that runs on the processor beside the target's
            GPU; None for the whole network on one device.
        image_weights: a GPU's built-in schedules read int8 weights from images, to be measured
            beside those that read them from buffers.
    """

    target: str
    scheme: str = "mixed"
    attention: str = "ca"
    size: tuple[int, int] = (768, 1280)
    threads: int | None = None
    checkpoint: Path | None = None
    out: Path | None = None
    dump_ir: Path | None = None
    ndk_compiler: Path | None = None
    on_processor: str | None = None
    image_weights: bool = False


def parse_size(text: str) -> tuple[int, int]:
    """(height, width) from "HEIGHTxWIDTH", rounded up to multiples of 32.

    Raises:
        MqnetError: not two whole numbers, or one below 32.
    """
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if match is None:
        raise MqnetError(f"size {text!r} is not HEIGHTxWIDTH in pixels, such as 768x1280")
    height, width = int(match[1]), int(match[2])
    if min(height, width) < MIN_SIDE:
        raise MqnetError(f"size {text} is below {MIN_SIDE}x{MIN_SIDE}, the network's smallest")
    if height * width > _MAX_PIXELS:
        raise MqnetError(
            f"size {text} has more than {_MAX_PIXELS:,} pixels, the most that is built"
        )
    return padded_size(height, width)


def build_artefact(
    request: BuildRequest, phases: Progress, program: ExportedProgram | None = None
) -> Artefact:
    """Compile, link and describe; the folder that results, opened again.

    ``program`` is what :func:`quantized_program` has given for ``request``, where the caller has it
    already: calibration takes as long as the rest.

    Raises:
        MqnetError: one of its kinds, for each mistake that a user can mend.
    """
    spec = load_target(request.target)
    threads = spec.threads if request.threads is None else request.threads
    if threads < 1:
        raise MqnetError(f"threads {threads} is not a positive number")
    scheme = scheme_named(request.scheme)
    if not scheme.runs_on(spec):
        raise MqnetError(
            f"scheme {scheme.name} needs float16, which target {spec.name} does not have: "
            "take a scheme with float32, such as mixed"
        )
    records = TUNING_LOGS / records_name(spec)
    options = PipelineOptions.for_scheme(spec, threads, scheme, records, request.image_weights)
    of_parts = request.on_processor and split_options(options, request.on_processor, TUNING_LOGS)
    folder = request.out or _default_folder(request)
    check_scratch_space()
    with staged_artefact(folder) as work:
        with phases.phase("quantize"):
            program = program or quantized_program(request)
        boundary: list[BoundaryTensor] = []

        def observe(number: int, name: str, mod: tvm.IRModule) -> None:
            if name == "cut":
                boundary.extend(describe_boundary(mod))
            if request.dump_ir is not None:
                _dump(request.dump_ir, number, name, mod)

        if of_parts is None:
            planned = plan_network(program, options, phases.phase, observe)
            libraries = {LIBRARY: (planned, options)}
            main, description = planned["main"], _describe(planned)
        else:
            split = plan_split(program, of_parts, phases.phase, observe)
            names = {BACKBONE: LIBRARY, HEAD: HEAD_LIBRARY}
            libraries = {
                names[part]: (planned, split.options[part]) for part, planned in split.parts.items()
            }
            main, description = split.main, _describe_split(split, request.on_processor)
        linker = ExportLinker(spec, LinkOptions(ndk_compiler=request.ndk_compiler))
        for name, (planned, its_options) in libraries.items():
            with phases.phase("emit"):
                executable = emit(planned, its_options)
            with phases.phase("link"):
                executable.export_library(str(work / name), fcompile=linker)
        checkpoint = _weights_of(request)
        write_manifest(
            work,
            {
                "scheme": request.scheme,
                "attention": request.attention,
                "checkpoint": {"name": checkpoint.name, "sha256": sha256_of(checkpoint)},
                "target": describe_target(spec),
                "threads": max(its_options.threads for _, its_options in libraries.values()),
                "input": _tensor(main.params[0].name, main.params[0].ty),
                "output": _tensor("h", main.ret_ty),
                "boundary": [asdict(tensor) for tensor in boundary],
                **description,
                "linker": asdict(linker.report),
                "versions": {package: version(package) for package in _PACKAGES},
            },
            tuple(libraries),
        )
    return open_artefact(folder)


def _describe(planned: tvm.IRModule) -> dict[str, Any]:
    return {
        "parts": [asdict(part) for part in describe_parts(planned)],
        "kernels": [asdict(kernel) for kernel in describe_kernels(planned)],
        "calls": [asdict(call) for call in describe_calls(planned)],
    }


def _describe_split(split: SplitNetwork, on_processor: str) -> dict[str, Any]:
    parts = [part for planned in split.parts.values() for part in describe_parts(planned)]
    calls = [describe_calls(planned, name) for name, planned in split.parts.items()]
    copies = sum(origin != INPUT for origin in split.head_arguments)
    return {
        "split": {"on_processor": on_processor, "head_arguments": split.head_arguments},
        "parts": [asdict(part) for part in (*parts, whole_part(parts))],
        "kernels": [
            asdict(kernel) | {"part": name}
            for name, planned in split.parts.items()
            for kernel in describe_kernels(planned)
        ],
        "calls": [asdict(call) for call in whole_calls(*calls, copies)],
    }


def quantized_program(request: BuildRequest) -> ExportedProgram:
    """The network of ``request``, quantized by its scheme: what is compiled.

    Raises:
        MqnetError: the checkpoint or the scheme is at fault.
    """
    network = load_checkpoint(_weights_of(request), request.attention)
    photos = [read_photo(path) for path in bundled_photos("calibration")]
    return quantize_network(network, scheme_named(request.scheme), photos, *request.size)


def _weights_of(request: BuildRequest) -> Path:
    fine_tuned = scheme_named(request.scheme).fine_tuned
    return request.checkpoint or bundled_weights(request.attention, fine_tuned)


def _default_folder(request: BuildRequest) -> Path:
    height, width = request.size
    name = f"{request.target}-{request.scheme}-{request.attention}-{height}x{width}"
    if request.on_processor is not None:
        name += f"-{request.on_processor}-on-processor"
    return Path("build") / name


def _dump(folder: Path, number: int, name: str, mod: tvm.IRModule) -> None:
    make_folder(folder)
    write_atomically(folder / f"{number}-{name}.py", mod.script().encode())


def _tensor(name: str, kind: tvm.relax.TensorType) -> dict[str, Any]:
    shape = [int(extent) for extent in kind.shape]
    return {"name": name, "shape": shape, "dtype": str(kind.dtype), "layout": "NHWC"}
