"""What ``manifest.json`` says of a build, as typed records: its reader and writer stand beside it.

The names of the attributes are the keys of the file, in its order.
"""

from __future__ import annotations

from math import prod
from typing import Any

import msgspec
import numpy as np

from compile.codegen.link.link import LinkReport
from compile.graph.parts import HEAD_LIBRARY, MAIN
from targets.describe_target import TargetFacts

#: Of any network: builds of the version before have to be found by this name.
LIBRARY = "mqnet.so"
MANIFEST = "manifest.json"
#: The test vector that compile/check.py reads; builds of earlier versions have none.
VECTOR = "vector.bin"
#: Of the standalone form's program.
PROGRAM_ENDING = "-run"

#: Raised when a key of the manifest changes its meaning, or the output of MQNet does.
FORMAT = 4


#: Layout of a photograph or a picture.
PICTURE = "NHWC"


class FileFacts(msgspec.Struct, frozen=True):
    """A file of the build; ``sha256`` in hexadecimal."""

    sha256: str


class CheckpointFacts(msgspec.Struct, frozen=True):
    """The file of weights, by its ``name`` without a folder."""

    name: str
    sha256: str


class NetworkTensor(msgspec.Struct, frozen=True):
    """An input or an output of the network.

    Attributes:
        name: as in a file of tensors.
        shape: with a batch of 1.
        dtype: as NumPy names it.
        layout: "NHWC" of a photograph or a picture; "" where it is as the network's module has it.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    layout: str = ""


class BoundaryTensor(msgspec.Struct, frozen=True):
    """One int8 result of a backbone: real = scale * (q - zero_point).

    Attributes:
        shape: NHWC.
        scale, zero_point: per tensor.
    """

    shape: tuple[int, ...]
    scale: float
    zero_point: int
    dtype: str = "int8"
    layout: str = "NHWC"


class SplitFacts(msgspec.Struct, frozen=True):
    """The network on two devices.

    Attributes:
        on_processor: "backbone" or "head": the part that the processor beside the GPU computes.
        head_arguments: of the head, in order: :data:`compile.graph.parts.INPUT`, or the number of
            the backbone's result.
    """

    on_processor: str
    head_arguments: tuple[str | int, ...]


class PartSummary(msgspec.Struct, frozen=True):
    """One function of the library: a backbone, a head, or ``main``, the network as it is run.

    Attributes:
        name: of the function.
        ops: kernel calls per frame.
        macs: multiply-accumulates per frame.
        weight_bytes: constants: weights, biases, scales and tables.
        activation_bytes: planned storage, the part's results in it, which is the peak.
        kernels_with_record: distinct kernels whose schedule was tuned.
        kernels_without_record: distinct kernels with a default schedule.
    """

    name: str
    ops: int
    macs: int
    weight_bytes: int
    activation_bytes: int
    kernels_with_record: int
    kernels_without_record: int


class KernelSummary(msgspec.Struct, frozen=True, omit_defaults=True):
    """One kernel, which may be called more than once per frame.

    Attributes:
        name: of the function in the library.
        family: of kernels, by which its default schedule is chosen; "" for those TVM has fused.
        schedule: "record" (tuned) or "built-in".
        macs: multiply-accumulates of one call.
        part: "backbone" or "head" of a network on two devices, whose names are the part's own; ""
            of one on a single device.
    """

    name: str
    family: str
    schedule: str
    macs: int
    part: str = ""


class FloatOperation(msgspec.Struct, frozen=True):
    """An operation that the scheme wants in int8 and that is computed in float.

    Attributes:
        module: qualified name of the PyTorch module that it is of.
        operation: its name.
        reason: why.
    """

    module: str
    operation: str
    reason: str


class Coverage(msgspec.Struct, frozen=True, omit_defaults=True):
    """How much of a frame is computed in integers.

    Attributes:
        int8_macs, float_macs: multiply-accumulates of int8 by int8, and all others.
        integer_ops: kernel calls with no float tensor, and no float operation but the multiply in a
            requantize.
        float_ops: all others; a convolution of int8 data and weights may have a float result.
        float_layers: qualified names of the PyTorch modules that those compute.
        float_operations: those that the scheme wants in int8; not written where there is none.
    """

    int8_macs: int
    float_macs: int
    integer_ops: int
    float_ops: int
    float_layers: tuple[str, ...]
    float_operations: tuple[FloatOperation, ...] = ()


class CallSummary(msgspec.Struct, frozen=True):
    """One kernel call.

    Attributes:
        kernel: name of the function in the library.
        layers: qualified names of the PyTorch modules that it computes, in order; an activation
            belongs to the layer before it.
    """

    kernel: str
    layers: tuple[str, ...]


class PlannedTensor(msgspec.Struct, frozen=True, omit_defaults=True):
    """A tensor in memory: what the caller gives, or what a kernel call makes.

    Attributes:
        shape, dtype: as the calls have it.
        call: number of the call that makes it, -1 of none.
        readers: numbers of the calls that read it.
        storage: number of the memory that it shares with others, -1 of inputs; in builds of earlier
            versions also of results.
        is_result: of the network, which is in memory to the end.
    """

    shape: tuple[int, ...]
    dtype: str
    call: int
    readers: tuple[int, ...] = ()
    storage: int = -1
    is_result: bool = False

    @property
    def size(self) -> int:
        """In bytes."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize

    def life(self, calls: int) -> tuple[int, int]:
        """First and last call, of a frame of so many ``calls``, that it has to be in memory for."""
        last = calls - 1 if self.is_kept else max(self.readers, default=self.call)
        return max(self.call, 0), last

    @property
    def is_kept(self) -> bool:
        """Whether it is the caller's when the frame is done."""
        return self.is_result or self.storage < 0


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A build.

    Attributes:
        format: of the file: :data:`FORMAT`.
        network: by name; not written where it is MQNet, which it was before there were others.
        parameters: of another network than MQNet: what it was asked for with, such as the file and
            function of a user's own.
        scheme: by name.
        recipe: the file of rules on top of it; not written where there was none.
        attention: MQNet's, by name; "none" for a network without one.
        decoding: what the output means; see :class:`compile.networks.network.Network`.
        checkpoint: the weights; not written where they came with the network's module.
        target: what it was built for.
        threads: the most that a frame may run on, and as many as it runs on unless the user names
            fewer.
        input, output: of the network.
        boundary: what each head reads of the backbones; empty where they are one.
        split: which device computes what; None where one computes all.
        parts: the network's functions, the whole network last.
        kernels: distinct ones, by name.
        calls: of a frame, in order.
        tensors: of a frame: inputs, then in the order in which they are made; not written in builds
            of earlier versions.
        coverage: of the network by integers; None in builds of earlier versions.
        linker: what linked the libraries.
        versions: of Python packages, by name.
        files: the libraries, the test vector and the standalone form, by file name.
        standalone: what the names of the standalone form begin with; not written where it was not
            asked for.
    """

    format: int
    network: str = "mqnet"
    parameters: dict[str, str] = msgspec.field(default_factory=dict)
    scheme: str
    recipe: CheckpointFacts | None = None
    attention: str
    decoding: str = "extended_srgb"
    checkpoint: CheckpointFacts | None = None
    target: TargetFacts
    threads: int
    inputs: tuple[NetworkTensor, ...]
    outputs: tuple[NetworkTensor, ...]
    boundary: tuple[BoundaryTensor, ...]
    split: SplitFacts | None = None
    parts: tuple[PartSummary, ...]
    kernels: tuple[KernelSummary, ...]
    calls: tuple[CallSummary, ...]
    tensors: tuple[PlannedTensor, ...] = ()
    coverage: Coverage | None = None
    linker: LinkReport
    versions: dict[str, str]
    files: dict[str, FileFacts]
    standalone: str = ""

    def __post_init__(self) -> None:
        """Refuse a description without the whole network or without a library.

        Raises:
            ValueError: naming what is missing.
        """
        if not self.inputs or not self.outputs:
            raise ValueError("`inputs` or `outputs` are empty")
        if not any(part.name == MAIN for part in self.parts):
            raise ValueError(f"`parts` has no part `{MAIN}`")
        for library in (LIBRARY,) if self.split is None else (LIBRARY, HEAD_LIBRARY):
            if library not in self.files:
                raise ValueError(f"`files` has no `{library}`")

    @property
    def whole(self) -> PartSummary:
        """The network as it is run, all of its parts together."""
        return next(part for part in self.parts if part.name == MAIN)

    @property
    def takes_photographs(self) -> bool:
        """Whether the only input is a photograph."""
        return self.inputs[0].layout == PICTURE

    @property
    def makes_pictures(self) -> bool:
        """Whether the only output is a picture."""
        return self.outputs[0].layout == PICTURE

    @property
    def on_gpu(self) -> bool:
        """Whether an OpenCL device runs the kernels, or those of one part."""
        return self.target.opencl is not None

    def as_json(self) -> dict[str, Any]:
        """Return the plain data that the file holds."""
        return msgspec.to_builtins(self)
