"""Small networks through the whole compiler under ``int8``, held to NumPy bit for bit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar
from unittest import mock

import numpy as np
import torch
import tvm
from lowered_backbones import photo_crop
from network_checks import draw_all
from numpy.typing import NDArray
from reference.backbone import run_backbone
from tir_walker import float_violations
from torch import fx, nn
from torch.export import ExportedProgram
from tvm import relax, tirx

from compile.imaging.bundled import bundled_photos
from compile.networks.export_wrapper import ROOT
from compile.networks.module_network import ModuleNetwork
from compile.networks.parts import Parts, parts_by_backbone
from compile.pipeline import PipelineOptions, emit, plan_network
from compile.quantize import quantize
from compile.quantize.schemes import scheme_named
from targets.load_target import load_target

OPTIONS = PipelineOptions(load_target("host"), 1, True, Path("no records"))


@dataclass(frozen=True)
class GivenNetwork(ModuleNetwork):
    """A module that a test has made; all of it is the backbone."""

    name: ClassVar[str] = "given"
    any_size: ClassVar[bool] = False

    module: nn.Module

    @property
    def label(self) -> str:
        return self.name

    def make(self) -> nn.Module:
        return self.module

    def architecture(self) -> nn.Module:
        return self.module

    def parts(self, graph: fx.Graph) -> Parts:
        return parts_by_backbone(graph, ROOT)


@dataclass(frozen=True)
class Integers:
    """What :func:`check_integers` has found.

    Attributes:
        kernels: of the backbone, as they are called.
        head: kernels of the head, which turns the result to floats.
        distinct: how many int8 numbers the result has.
    """

    kernels: list[str]
    head: list[str]
    distinct: int


def check_integers(
    net: nn.Module, height: int, width: int, against_pytorch: bool = True
) -> Integers:
    """Compare the backbone of ``net``, whose weights are drawn here, with NumPy, and see that none
    of its kernels holds a float; with PyTorch only where it is told to."""
    with torch.no_grad():
        net.eval()(torch.zeros(1, 3, height, width))  # Lazy modules are made.
    network, scheme = GivenNetwork(draw_all(net)), scheme_named("int8")
    photos = network.calibration_photos()[:2]
    with mock.patch.object(quantize, "CROPS", 2):
        program = quantize.quantize_network(
            network, network.load(None), scheme, photos, height, width, crop=(height, width)
        )
    image = photo_crop(bundled_photos("test")[0], height, width)
    run = run_backbone(program, image)
    planned = plan_network(program, OPTIONS)
    machine = relax.VirtualMachine(emit(planned, OPTIONS), tvm.cpu())
    found = machine["backbone"](tvm.runtime.tensor(image))
    found = [found] if len(run.boundary) == 1 else list(found)
    for name, tensor in zip(run.boundary, found, strict=True):
        expected = run.tensors[name]
        np.testing.assert_array_equal(tensor.numpy().reshape(expected.shape), expected)
    called = {part: _kernels(planned, part) for part in ("backbone", "head")}
    for kernel in called["backbone"]:
        assert not float_violations(planned[kernel]), kernel
    if against_pytorch:
        _check_output(program, machine, image)
    distinct = len(np.unique(np.concatenate([run.tensors[name].ravel() for name in run.boundary])))
    return Integers(called["backbone"], called["head"], distinct)


def _check_output(
    program: ExportedProgram, machine: relax.VirtualMachine, image: NDArray[np.uint8]
) -> None:
    """Compare with PyTorch, within what int8 leaves: in deep networks with drawn weights a number
    that is rounded the other way becomes many."""
    output = machine["main"](tvm.runtime.tensor(image)).numpy()
    with torch.no_grad():
        exported = program.module()(torch.from_numpy(image)).numpy()
    assert np.abs(output - exported).max() <= 0.1 * np.abs(exported).max()


def check_floats(net: nn.Module, height: int, width: int) -> None:
    """Compare ``net`` under ``fp32``, whose weights are drawn here, with PyTorch."""
    with torch.no_grad():
        net.eval()(torch.zeros(1, 3, height, width))  # Lazy modules are made.
    network = GivenNetwork(draw_all(net))
    program = quantize.quantize_network(
        network, network.load(None), scheme_named("fp32"), [], height, width, crop=(height, width)
    )
    options = replace(OPTIONS, partition=False)
    machine = relax.VirtualMachine(emit(plan_network(program, options), options), tvm.cpu())
    image = photo_crop(bundled_photos("test")[0], height, width)
    found = machine["main"](tvm.runtime.tensor(image)).numpy()
    with torch.no_grad():
        expected = network.export_wrapper(net, torch.float32)(torch.from_numpy(image)).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


def _kernels(planned: tvm.IRModule, part: str) -> list[str]:
    names = relax.analysis.all_global_vars(planned[part])
    return [name.name_hint for name in names if isinstance(planned[name], tirx.PrimFunc)]
