"""Describe a build for its standalone form, and choose the test vector that it checks itself by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tvm
from PIL import Image, ImageOps

from compile.artefact.describe_interface import Interface, name_tensors
from compile.artefact.describe_parts import describe_parts
from compile.artefact.manifest import PICTURE, NetworkTensor
from compile.build_request import BuildRequest
from compile.codegen.link.link import LinkOptions
from compile.codegen.standalone.build_standalone import (
    StandaloneNetwork,
    build_standalone,
    identifier_of,
)
from compile.codegen.standalone.check_vector import compute_vector
from compile.codegen.standalone.read_plan import read_plan
from compile.codegen.standalone.write_sources import Description, NamedTensor
from compile.imaging.bundled import bundled_photos
from compile.imaging.read_photo import read_photo
from compile.networks.network import Network
from compile.passes.plan_memory import plan_memory
from compile.pipeline import PipelineOptions
from compile.support.build_cache import BuildCache
from compile.support.errors import MqnetError
from compile.support.frame import Frame
from targets.spec import TargetSpec


@dataclass(frozen=True)
class CompiledNetwork:
    """What a build has of a network when its library is linked.

    Attributes:
        unscheduled: the network behind the phase "lower".
        interface: its inputs and outputs.
        planned: its kernels, scheduled and called in order.
        objects: their machine code, by name.
    """

    unscheduled: tvm.IRModule
    interface: Interface
    planned: tvm.IRModule
    objects: Mapping[str, bytes]


def check_standalone(request: BuildRequest, spec: TargetSpec) -> None:
    """Raise where there is no standalone form of what is asked for.

    Raises:
        MqnetError: two devices run the kernels.
    """
    if not request.standalone or spec.gpu is None:
        return
    if request.on_processor is not None:
        raise MqnetError(
            "the standalone form is for one device: leave --on-processor or --standalone out"
        )


def write_standalone(
    request: BuildRequest,
    spec: TargetSpec,
    options: PipelineOptions,
    compiled: CompiledNetwork,
    folder: Path,
    cache: BuildCache,
) -> tuple[str, ...]:
    """Write the standalone form into ``folder``; the names of its files.

    Args:
        request: what is built.
        spec: for which target.
        options: how it was compiled.
        compiled: what was made of it.
        folder: of the build.
        cache: of kernels that were compiled before.

    Raises:
        MqnetError: one of its kinds, for each mistake that a user can mend.
    """
    network, interface = request.network, compiled.interface
    inputs = name_tensors(interface.inputs, network.input_names, network.takes_photographs)
    outputs = name_tensors(interface.outputs, network.output_names, network.makes_pictures)
    description = Description(
        name=identifier_of(name_of(network)),
        title=network.title,
        inputs=_named(inputs),
        outputs=_named(outputs),
        threads=options.threads,
        target=spec.name,
        scheme=request.scheme if request.recipe is None else request.recipe.stem,
        decoding=network.decoding if _is_picture_of_picture(inputs, outputs) else "none",
    )
    frame = example_frame(network, *request.size)
    planned = read_plan(compiled.planned)
    unscheduled = plan_memory()(compiled.unscheduled)
    macs = describe_parts(compiled.planned)[-1].macs
    vector = compute_vector(planned, unscheduled, macs, frame, cache)
    return build_standalone(
        StandaloneNetwork(description, compiled.planned, compiled.objects, vector),
        spec,
        folder,
        LinkOptions(ndk_compiler=request.ndk_compiler),
    )


def name_of(network: Network) -> str:
    """Name the files after a network: of a user's own after its file."""
    return Path(network.title.partition(":")[0]).stem


def example_frame(network: Network, height: int, width: int) -> Frame:
    """Choose a frame to check a build by: the demo's photograph in that size, or the tensors of the
    network's example."""
    if not network.takes_photographs:
        return tuple(one.numpy() for one in network.example_inputs(height, width))
    photo = Image.fromarray(read_photo(bundled_photos("demo")[0]))
    fitted = np.asarray(ImageOps.fit(photo, (width, height), Image.Resampling.LANCZOS))
    repeats = -(-network.channels // fitted.shape[2])
    return (np.ascontiguousarray(np.tile(fitted, repeats)[None, ..., : network.channels]),)


def _named(tensors: Sequence[NetworkTensor]) -> tuple[NamedTensor, ...]:
    # A photograph's bytes from 0 to 255 mean 0 to 1.
    return tuple(
        NamedTensor(
            tensor.name,
            tensor.shape,
            tensor.dtype,
            tensor.layout,
            1 / 255 if tensor.layout == PICTURE and tensor.dtype == "uint8" else 0.0,
        )
        for tensor in tensors
    )


def _is_picture_of_picture(
    inputs: Sequence[NetworkTensor], outputs: Sequence[NetworkTensor]
) -> bool:
    before, after = inputs[0], outputs[0]
    return (
        (before.layout, after.layout) == (PICTURE, PICTURE)
        and before.shape[3] == after.shape[3] == 3
        and len(inputs) == len(outputs) == 1
    )
