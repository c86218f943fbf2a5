"""Spell a frame out in C: the public header, the constant data, and where the weights are.

The templates say what a file looks like; here is only what they are filled with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import tvm

from compile.codegen.standalone.check_vector import CheckVector
from compile.codegen.standalone.object_symbols import renamed
from compile.codegen.standalone.processor_features import ProcessorFeature
from compile.codegen.standalone.read_plan import ALIGNMENT, FramePlan
from compile.support.errors import GraphError

_TEMPLATES = Path(__file__).parent / "templates"
_MOST_DIMENSIONS = 8

#: What kernels call of a runtime, by what the templates call it: pointers in each object that the
#: runtime's definition replaces. Kernels check no arguments, so none says what is wrong with them.
HOOKS = {
    "launch": "__TVMBackendParallelLaunch",
    "take": "__TVMBackendAllocWorkspace",
    "give_back": "__TVMBackendFreeWorkspace",
}


@dataclass(frozen=True)
class NamedTensor:
    """An input or output, as a program is told of it.

    Attributes:
        name, layout: as in the manifest.
        shape, dtype: of the tensor.
        scale, zero_point: real = scale * (value - zero_point); 0 where values are what they mean.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    layout: str = ""
    scale: float = 0.0
    zero_point: int = 0


@dataclass(frozen=True)
class Description:
    """What a network is called, and what a program is told of it.

    Attributes:
        name: an identifier of C, which all names of the library begin with.
        title: for people.
        inputs, outputs: in order.
        threads: the most that a frame may run on.
        target, scheme: by name.
        decoding: what a picture that it makes of a photograph means
            (:mod:`compile.imaging.decode_picture`); "none" where it makes no such picture.
    """

    name: str
    title: str
    inputs: tuple[NamedTensor, ...]
    outputs: tuple[NamedTensor, ...]
    threads: int
    target: str
    scheme: str
    decoding: str


def write_sources(
    folder: Path,
    description: Description,
    plan: FramePlan,
    features: Sequence[ProcessorFeature],
    workspace: int,
    prefix: str,
    vector: CheckVector,
    gpu: Mapping[str, Any] | None = None,
) -> list[str]:
    """Write ``NAME.h``, ``NAME.c``, ``NAME-run.c``, the weights and the vector's inputs into
    ``folder``; the names of the sources of those inputs.

    Args:
        folder: an empty one.
        description: of the network.
        plan: its frame.
        features: what its kernels need of the processor.
        workspace: what a thread needs of scratch memory, in bytes.
        prefix: of the kernels' names (:func:`compile.codegen.standalone.object_symbols.renamed`).
        vector: that the program checks itself by.
        gpu: what a GPU is told (:mod:`compile.codegen.standalone.gpu_frame`); None of a processor.

    Raises:
        GraphError: a tensor has more dimensions than the library's descriptions.
    """
    weights = f"{prefix}_weights"
    facts: dict[str, Any] = {
        "name": description.name,
        "upper": description.name.upper(),
        "title": description.title,
        "threads": description.threads,
        "inputs": _described(description.inputs, "input", plan),
        "outputs": _described(description.outputs, "output", plan),
        "arena_bytes": plan.arena_bytes,
        "workspace_bytes": workspace,
        "copies": plan.copies,
        "gpu": gpu,
        "features": features,
        "weights": weights,
        "hooks": {name: renamed(symbol, prefix) for name, symbol in HOOKS.items()},
        **_tables(plan, prefix),
    }
    render(folder / f"{description.name}.h", "header.h.jinja", facts)
    render(folder / f"{description.name}.c", "network.c.jinja", facts)
    # No object is without a byte.
    content = plan.weights or bytes(ALIGNMENT)
    write_blob(folder, "weights", weights, content, description.title)
    symbols = []
    for number, tensor in enumerate(vector.inputs):
        symbols.append(f"{prefix}_vector_{number}")
        data = np.ascontiguousarray(tensor).tobytes() or bytes(ALIGNMENT)
        write_blob(folder, f"vector_{number}", symbols[-1], data, description.title)
    facts |= {
        "input_symbols": symbols,
        "digests": vector.digests or [0],
        "expected": vector.outputs,
        "target": description.target,
        "scheme": description.scheme,
        "decoding": description.decoding,
        "weight_bytes": len(plan.weights),
    }
    render(folder / f"{description.name}-run.c", "program.c.jinja", facts)
    return [f"vector_{number}.S" for number in range(len(symbols))]


def write_blob(folder: Path, file: str, symbol: str, content: bytes, title: str) -> None:
    """Write ``content`` and the assembly that makes it the constant ``symbol``."""
    (folder / f"{file}.bin").write_bytes(content)
    facts = {
        "symbol": symbol,
        "file": f"{file}.bin",
        "bytes": len(content),
        "alignment": ALIGNMENT,
        "title": title,
    }
    render(folder / f"{file}.S", "weights.S.jinja", facts)


def render(path: Path, template: str, facts: Mapping[str, Any]) -> None:
    """Fill the ``template`` of that file name with ``facts``."""
    environment = jinja2.Environment(
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,
    )
    environment.filters["c_string"] = c_string
    text = environment.from_string((_TEMPLATES / template).read_text()).render(facts)
    path.write_text(text)


def c_string(text: str) -> str:
    """Spell ``text`` as a string of C, in UTF-8."""
    spelt = ""
    for byte in text.encode():
        plain = 32 <= byte < 127 and chr(byte) not in '"\\?'
        # Three digits, so that a digit behind it is not taken for one of its own.
        spelt += chr(byte) if plain else f"\\{byte:03o}"
    return f'"{spelt}"'


def _described(tensors: Sequence[NamedTensor], role: str, plan: FramePlan) -> list[dict[str, Any]]:
    planned = plan.inputs if role == "input" else plan.outputs
    described = []
    for index, (tensor, found) in enumerate(zip(tensors, planned, strict=True)):
        if len(tensor.shape) > _MOST_DIMENSIONS:
            raise GraphError(
                f"{role} {tensor.name} has {len(tensor.shape)} dimensions: the standalone form "
                f"takes {_MOST_DIMENSIONS} at most"
            )
        described.append(asdict(tensor) | {"role": role, "index": index, "bytes": found.bytes})
    return described


def _tables(plan: FramePlan, prefix: str) -> dict[str, Any]:
    shapes: list[int] = []
    places: dict[tuple[int, ...], int] = {}
    tensors = []
    for tensor in plan.tensors:
        if tensor.shape not in places:
            places[tensor.shape] = len(shapes)
            shapes.extend(tensor.shape)
        dtype = tvm.DataType(tensor.dtype)
        tensors.append(
            {
                "place": f"PLACE_{tensor.place.upper()}",
                "offset": tensor.offset,
                "shape": places[tensor.shape],
                "rank": len(tensor.shape),
                "code": int(dtype.type_code),
                "bits": int(dtype.bits),
            }
        )
    calls, arguments = [], list[int]()
    for call in plan.calls:
        calls.append(
            {
                "symbol": kernel_symbol(call.kernel, prefix),
                "name": call.kernel,
                "layers": ", ".join(call.layers),
                "first": len(arguments),
                "count": len(call.arguments),
                "results": call.results,
            }
        )
        arguments.extend(call.arguments)
    kernels = sorted({kernel_symbol(call.kernel, prefix) for call in plan.calls})
    return {
        "shapes": shapes or [0],
        "tensors": tensors,
        "calls": calls,
        "arguments": arguments or [0],
        "kernels": kernels,
    }


def kernel_symbol(kernel: str, prefix: str) -> str:
    """Name the C function of a ``kernel`` behind the renaming."""
    return renamed(f"__tvm_ffi_{kernel}", prefix)
