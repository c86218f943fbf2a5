"""A small network, and what other people's quantizers make of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import tvm
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.export import ExportedProgram
from tvm import relax

from compile.build_network import quantized_program
from compile.build_request import BuildRequest
from compile.networks.network import Network
from compile.pipeline import PipelineOptions, emit, plan_network
from compile.quantize.pt2e import Quantizer, convert_pt2e, prepare_pt2e
from compile.quantize.schemes import scheme_named
from targets.load_target import load_target

SIZE = (32, 48)
NO_LOGS = Path("no logs")


class Residual(nn.Module):
    """float32 [1, 3, H, W] to the same, in (0, 1)."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU())
        self.second = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU())
        self.tail = nn.Conv2d(16, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        return torch.sigmoid(self.tail(self.second(y) + y))


def residual() -> tuple[nn.Module, Tensor]:
    """The network in evaluation mode, and an input."""
    torch.manual_seed(0)
    net = Residual().eval()
    norm = net.first[1]
    nn.init.uniform_(norm.running_var, 0.5, 2.0)
    nn.init.uniform_(norm.running_mean, -0.2, 0.2)
    return net, torch.rand(1, 3, *SIZE)


def quantized(net: nn.Module, x: Tensor, quantizer: Quantizer) -> ExportedProgram:
    """``net`` as PT2E converts it, with scales chosen on ``x``."""
    prepared = prepare_pt2e(torch.export.export(net, (x,)).module(), quantizer)
    prepared(x)
    return torch.export.export(convert_pt2e(prepared), (x,))


def saved(program: ExportedProgram, path: Path) -> Path:
    """The file at ``path`` that holds ``program``."""
    torch.export.save(program, path)
    return path


class Compiled:
    """A network for this machine, without an artefact."""

    def __init__(self, network: Network, scheme: str, size: tuple[int, int] | None = None) -> None:
        request = BuildRequest("host", scheme, network, size or network.default_size)
        self.program = quantized_program(request)
        options = PipelineOptions.for_scheme(load_target("host"), 1, scheme_named(scheme), NO_LOGS)
        code = emit(plan_network(self.program, options), options)
        self._machine = relax.VirtualMachine(code, tvm.cpu())

    def run(self, image: NDArray[np.uint8], function: str = "main") -> list[NDArray]:
        """Results of ``function`` for a photograph, uint8 [1, H, W, C]."""
        return self.run_tensors(image, function=function)

    def run_tensors(self, *inputs: NDArray, function: str = "main") -> list[NDArray]:
        """Results of ``function`` for tensors."""
        found = self._machine[function](*map(tvm.runtime.tensor, inputs))
        return [
            one.numpy() for one in ([found] if isinstance(found, tvm.runtime.Tensor) else found)
        ]

    def expected(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What PyTorch computes of it, with rounding where the file has it."""
        with torch.no_grad():
            return self.program.module()(torch.from_numpy(image)).numpy()
