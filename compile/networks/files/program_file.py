"""The reader of .pt2: what torch.export.save writes, of a float program or a quantized one."""

from __future__ import annotations

import logging
from pathlib import Path
from zipfile import BadZipFile, ZipFile

import torch
from torch.export import ExportedProgram

from compile.networks.files.network_file import NetworkFile, scheme_of
from compile.networks.files.quantized_form import bring_into_form
from compile.networks.files.restore_modules import restore_modules
from compile.support.errors import MqnetError


def read_program_file(path: Path) -> NetworkFile:
    """Read the program at ``path``, which takes one picture, float32 [1, channels, H, W].

    Raises:
        MqnetError: the file is damaged or of another kind, or its program takes something else.
    """
    program = _loaded(path)
    shape = _input_shape(path, program)
    for name, tensor in program.state_dict.items():
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            raise MqnetError(
                f"network {path} has {name} in {tensor.dtype}: export the module in float32 (call "
                "its float()) and choose another precision with --scheme"
            )
    module = program.module(check_guards=False)
    bring_into_form(module)
    scheme = scheme_of(module.graph)
    return NetworkFile(restore_modules(module), shape[1], (shape[2], shape[3]), scheme)


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


def _input_shape(path: Path, program: ExportedProgram) -> tuple[int, ...]:
    wanted = f"network {path} takes %s: export one that takes one picture, float32 [1, C, H, W] in "
    wanted += "[0, 1], with fixed sizes"
    names = program.graph_signature.user_inputs
    if len(names) != 1:
        raise MqnetError(wanted % f"{len(names)} inputs")
    (value,) = (node.meta["val"] for node in program.graph.nodes if node.name == names[0])
    if not isinstance(value, torch.Tensor):
        raise MqnetError(wanted % f"a {type(value).__name__}")
    if any(not isinstance(extent, int) for extent in value.shape):
        sizes = ", ".join(map(str, value.shape))
        raise MqnetError(wanted % f"inputs of dynamic shapes, [{sizes}]")
    if value.dtype != torch.float32 or value.ndim != 4 or value.shape[0] != 1:
        raise MqnetError(wanted % f"an input {value.dtype} {list(value.shape)}")
    if len(program.graph_signature.user_outputs) != 1:
        count = len(program.graph_signature.user_outputs)
        raise MqnetError(f"network {path} gives {count} results: export one that gives one picture")
    return tuple(value.shape)
