"""A quantized program in the build cache: neither its size nor the target is in what it is kept by.

Calibration runs on crops of one size (:mod:`compile.quantize.calibration`), so scales and weights
are the same for every size that is built; the graph is only exported once more for another one.
"""

from __future__ import annotations

import io
import json
from importlib.metadata import version

import torch
from torch import Tensor
from torch.export import ExportedProgram

from compile.networks.network import Network
from compile.quantize.schemes import Scheme
from compile.support.build_cache import BuildCache, content_of, key_of

_KIND = "program"
_SOURCES = ("compile/quantize", "compile/networks", "compile/imaging", "compile/support")


def program_key(network: Network, scheme: Scheme, checkpoint: bytes) -> str:
    """Compute the key of ``network`` with the weights in ``checkpoint``, quantized by ``scheme``.

    The instruction set that PyTorch computes with is part of it: another one sums in another order,
    and scales differ in their last bits.
    """
    return key_of(
        network.name,
        json.dumps(network.parameters, sort_keys=True),
        scheme.name,
        checkpoint,
        content_of(_SOURCES),
        *(version(package) for package in ("torch", "torchao", "numpy")),
        torch.backends.cpu.get_cpu_capability(),
    )


def keep_program(cache: BuildCache, key: str, program: ExportedProgram) -> None:
    """Put ``program`` into ``cache``."""
    content = io.BytesIO()
    torch.export.save(program, content)
    cache.put(_KIND, key, content.getvalue())


def find_program(cache: BuildCache, key: str, inputs: tuple[Tensor, ...]) -> ExportedProgram | None:
    """Find what ``cache`` holds under ``key``, as a program that takes ``inputs``."""
    content = cache.get(_KIND, key)
    if content is None:
        return None
    program = torch.export.load(io.BytesIO(content))
    kept, _ = program.example_inputs
    if [tensor.shape for tensor in kept] == [tensor.shape for tensor in inputs]:
        return program
    module = program.module(check_guards=False)
    # Nothing in the graph holds a size but the check of what comes in.
    module._forward_pre_hooks.clear()
    module._forward_pre_hooks_with_kwargs.clear()
    return torch.export.export(module, inputs)
