"""Which device computes which part of a network, and into which library each part goes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from compile.artefact.manifest import LIBRARY
from compile.graph.parts import BACKBONE, HEAD, HEAD_LIBRARY, MAIN
from compile.pipeline import PipelineOptions
from compile.records.log_folder import log_for_builds, records_name
from compile.support.errors import MqnetError
from targets.load_target import load_target
from targets.spec import TargetSpec


@dataclass(frozen=True)
class Part:
    """What one device computes of a network.

    Attributes:
        name: of its function: "main" for the whole network, else "backbone" or "head".
        library: file name of the library that it is compiled into.
        options: how it is compiled, and for which target.
    """

    name: str
    library: str
    options: PipelineOptions


def place_network(
    options: PipelineOptions, on_processor: str | None, logs: Path | None
) -> tuple[Part, ...]:
    """Give each part of a network its device, in the order of computation.

    Args:
        options: how the network is compiled for its target.
        on_processor: "backbone" or "head" where that part is for the processor beside the target's
            GPU; None where one device computes the whole network.
        logs: folder of the tuning logs, in which the processor's records are; None for the default
            ones (:func:`compile.records.log_folder.log_for_builds`).

    Raises:
        MqnetError: the target is no GPU, or the scheme has no backbone to be separated.
    """
    if on_processor is None:
        return (Part(MAIN, LIBRARY, options),)
    spec = options.spec
    if spec.gpu is None:
        raise MqnetError(
            f"target {spec.name} has one device: to split the network over two, name a GPU, such "
            "as linux-mali"
        )
    if not options.partition:
        raise MqnetError(
            "this scheme has no int8 backbone to be split from the head: take another, such as "
            "mixed"
        )
    options = replace(options, one_head=True)
    beside = processor_beside(spec)
    records = log_for_builds(records_name(beside), logs)
    on_other = replace(options, spec=beside, threads=beside.threads, records=records)
    return tuple(
        Part(name, library, on_other if name == on_processor else options)
        for name, library in ((BACKBONE, LIBRARY), (HEAD, HEAD_LIBRARY))
    )


def processor_beside(spec: TargetSpec) -> TargetSpec:
    """The target of the processor that starts the kernels of ``spec``'s GPU."""
    return load_target(spec.beside)
