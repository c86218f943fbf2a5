"""The reader of .pt2: what torch.export.save writes, of a float program or a quantized one."""

from __future__ import annotations

import logging
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import torch
from torch import Tensor
from torch.export import ExportedProgram

from compile.networks.export_wrapper import named_outputs
from compile.networks.files.network_file import NetworkFile, named_apart, scheme_of
from compile.networks.files.quantized_form import bring_into_form
from compile.networks.files.restore_modules import restore_modules
from compile.support.errors import MqnetError

_DTYPES = (torch.float32, torch.int8, torch.uint8, torch.int32, torch.int64)


def read_program_file(path: Path) -> NetworkFile:
    """Read the program at ``path``.

    Raises:
        MqnetError: the file is damaged or of another kind, or its program takes something else.
    """
    program = _loaded(path)
    inputs, outputs = _inputs(path, program), _outputs(path, program)
    for name, tensor in program.state_dict.items():
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            raise MqnetError(
                f"network {path} has {name} in {tensor.dtype}: export the module in float32 (call "
                "its float()) and choose another precision with --scheme"
            )
    module = program.module(check_guards=False)
    bring_into_form(module)
    scheme = scheme_of(module.graph)
    first, *others = outputs.values()
    return NetworkFile(
        restore_modules(module),
        tuple(inputs.values()),
        named_apart(inputs),
        named_apart(outputs),
        not others and first.ndim == 4,
        scheme,
    )


def _loaded(path: Path) -> ExportedProgram:
    remedy = "write it with torch.export.save"
    try:
        with ZipFile(path) as file:
            damaged = file.testzip()
    except BadZipFile:
        raise MqnetError(f"network {path} is cut off or no exported program: {remedy}") from None
    if damaged is not None:
        raise MqnetError(f"network {path} is damaged in {damaged}: {remedy}")
    exporting = logging.getLogger("torch.export")
    level = exporting.level
    exporting.setLevel(logging.CRITICAL)
    try:
        return torch.export.load(path)
    except Exception as error:  # Of torch, on whatever is in the file.
        reason = next((line for line in str(error).splitlines() if line.strip()), repr(error))
        raise MqnetError(
            f"network {path} cannot be loaded by torch {torch.__version__} ({reason.strip()}): "
            f"{remedy}, of operations of PyTorch's own"
        ) from error
    finally:
        exporting.setLevel(level)


def _inputs(path: Path, program: ExportedProgram) -> dict[str, Tensor]:
    """An example of each input, by its name."""
    wanted = f"network {path} takes %s: export one that takes tensors of float32 or integers, with "
    wanted += "fixed sizes"
    values = {node.name: node.meta.get("val") for node in program.graph.nodes}
    found = {}
    for name in program.graph_signature.user_inputs:
        value = values.get(name)
        if not isinstance(value, Tensor):
            raise MqnetError(wanted % f"a {type(value).__name__} for {name}")
        if any(not isinstance(extent, int) for extent in value.shape):
            sizes = ", ".join(map(str, value.shape))
            raise MqnetError(wanted % f"inputs of dynamic shapes, [{sizes}]")
        several = value.ndim == 4 and value.shape[0] != 1
        if value.dtype not in _DTYPES or several or not value.numel():
            raise MqnetError(wanted % f"an input {value.dtype} {list(value.shape)}")
        found[str(name)] = torch.zeros(tuple(value.shape), dtype=value.dtype)
    if not found:
        raise MqnetError(wanted % "no input")
    return found


def _outputs(path: Path, program: ExportedProgram) -> dict[str, Tensor]:
    """Each output as it was traced, by a dictionary's keys, or by number."""
    values = {node.name: node.meta.get("val") for node in program.graph.nodes}
    results = [values.get(name) for name in program.graph_signature.user_outputs]
    spec = program.call_spec.out_spec
    keys = spec.context if spec is not None and spec.type is dict else None
    if not results or not all(isinstance(one, Tensor) for one in results):
        raise MqnetError(
            f"network {path} gives something else than tensors: export one that gives a tensor, or "
            "a flat tuple or dictionary of some"
        )
    tensors = [one for one in results if isinstance(one, Tensor)]
    if keys is not None and len(keys) == len(tensors):
        return dict(zip(map(str, keys), tensors, strict=True))
    return named_outputs(tensors[0] if len(tensors) == 1 else tensors)
