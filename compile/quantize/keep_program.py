"""A quantized program in the build cache: neither its size nor the target is in what it is kept by.

Calibration runs on crops of one size (:mod:`compile.quantize.calibration`), so scales and weights
are the same for every size that is built; for another one only shapes are computed anew.
"""

from __future__ import annotations

import inspect
import io
import json
import typing
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache as remember
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import Tensor, nn
from torch._export.serde import serialize
from torch.export import ExportedProgram

from compile.networks.network import Network, Training
from compile.quantize.calibration import CROP
from compile.quantize.export_network import export_network
from compile.quantize.resize_program import resize_program
from compile.quantize.schemes import Scheme
from compile.support.build_cache import BuildCache, content_of, key_of

_KIND = "program"
_SOURCES = ("compile/quantize", "compile/networks", "compile/imaging", "compile/support")


def program_key(
    network: Network,
    scheme: Scheme,
    weights: Path | None,
    net: nn.Module,
    crop: tuple[int, int] = (CROP, CROP),
) -> str:
    """Compute the key of ``network``, quantized by ``scheme`` on crops of a size: of the file of
    ``weights``, or where they come with its module ``net``, of that as it is exported, and of its
    photographs or tensors.

    The instruction set that PyTorch computes with is part of it: another one sums in another order,
    and scales differ in their last bits.
    """
    return key_of(
        network.name,
        json.dumps(network.parameters, sort_keys=True),
        repr(scheme),
        "{}x{}".format(*crop),
        *([weights.read_bytes()] if weights is not None else _contents(network, net, crop)),
        *(training_content(network.training) if scheme.fine_tuned else ()),
        content_of(_SOURCES),
        *(version(package) for package in ("torch", "torchao", "numpy")),
        torch.backends.cpu.get_cpu_capability(),
    )


def training_content(train: Training | None) -> Iterator[bytes]:
    """The file that a training function is in, where its settings are taken to be, and the named
    arguments of a partial one."""
    if train is not None:
        function = inspect.unwrap(getattr(train, "func", train))
        is_code = inspect.isroutine(function) or inspect.isclass(function)
        yield Path(inspect.getfile(function if is_code else type(function))).read_bytes()
        yield repr(getattr(train, "keywords", "")).encode()


def _contents(network: Network, net: nn.Module, crop: tuple[int, int]) -> Iterator[bytes]:
    for name, tensor in net.state_dict().items():
        yield name.encode()
        yield tensor.contiguous().numpy().tobytes()
    wrapper = network.export_wrapper(net, torch.float32).eval()
    program = export_network(network, wrapper, network.example_inputs(*crop))
    yield str(program.graph).encode()
    if network.takes_photographs:
        yield from (photo.tobytes() for photo in network.calibration_photos())
    else:
        frames = network.calibration_tensors()
        yield from (one.numpy().tobytes() for frame in frames for one in frame)


def keep_program(cache: BuildCache, key: str, program: ExportedProgram) -> None:
    """Put ``program`` into ``cache``."""
    content = io.BytesIO()
    torch.export.save(program, content)
    cache.put(_KIND, key, content.getvalue())


def find_program(
    cache: BuildCache, key: str, network: Network, inputs: tuple[Tensor, ...]
) -> ExportedProgram | None:
    """Find what ``cache`` holds under ``key``, as a program of ``network`` that takes ``inputs``.

    Raises:
        GraphError: it does not take this size.
    """
    content = cache.get(_KIND, key)
    if content is None:
        return None
    with _hints_remembered():
        program = torch.export.load(io.BytesIO(content))
    kept, _ = program.example_inputs
    if [tensor.shape for tensor in kept] == [tensor.shape for tensor in inputs]:
        return program
    return resize_program(network, program, inputs)


@contextmanager
def _hints_remembered() -> Iterator[None]:
    """Let PyTorch ask for the types of each class's fields once in this block, not once for each of
    a program's 20,000 records: that is half of the time that loading takes."""
    hints = remember(lambda record: typing.get_type_hints(record, vars(serialize.schema)))
    remembered = SimpleNamespace(**vars(typing))
    remembered.get_type_hints = lambda record, globalns: hints(record)
    before, serialize.typing = serialize.typing, remembered  # type: ignore[assignment]
    try:
        yield
    finally:
        serialize.typing = before
