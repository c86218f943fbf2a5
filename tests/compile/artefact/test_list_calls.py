"""Kernel calls by the layers of the PyTorch network: every convolution has its module's name."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from command_line import x86_only
from fixtures_artefacts import SIZE, ArtefactFactory, ProgramFactory
from torch import nn

from compile.artefact.describe_parts import describe_kernels, describe_parts
from compile.artefact.list_calls import list_calls
from compile.networks.export_wrapper import ExportWrapper
from compile.networks.mqnet.checkpoints import load_checkpoint
from compile.pipeline import PipelineOptions, plan_network
from compile.quantize.schemes import Precision, scheme_named
from targets.load_target import load_target


def convolutions(attention: str) -> list[str]:
    """Names of the convolutions in the order in which PyTorch runs them."""
    network = ExportWrapper(load_checkpoint(None, attention)).eval()
    ran: list[str] = []
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda *_, name=name: ran.append(name))
    with torch.no_grad():
        network(torch.zeros(1, 32, 32, 3, dtype=torch.uint8))
    return ran


@pytest.mark.parametrize(
    ("scheme", "attention"),
    [
        *(("mixed", "ca"), ("mixed", "csa"), ("mixed", "none"), ("mixed-qat", "ca")),
        *(("fp32", "ca"), ("fp16", "ca"), ("w8a32", "sa"), ("int8", "ca")),
    ],
)
def test_every_convolution_has_its_name(
    quantized_program: ProgramFactory, scheme: str, attention: str
):
    split = scheme_named(scheme).backbone is Precision.INT8
    options = PipelineOptions(load_target("host"), 1, split, Path("no records"))
    planned = plan_network(quantized_program(scheme, attention), options)
    calls = list_calls(planned)
    assert len(calls) == describe_parts(planned)[-1].ops
    expected = convolutions(attention)
    assert len(expected) > 60
    macs = {kernel.name: kernel.macs for kernel in describe_kernels(planned)}
    multiplying = [call for call in calls if macs[call.kernel]]
    named = [[name for name in call.layers if name in set(expected)] for call in multiplying]
    # Each convolution in one call; an inverted residual block's three may be one.
    assert [name for names in named for name in names] == expected
    assert {len(names) for names in named} <= {1, 3}
    # Only the photograph's bytes belong to no layer.
    assert all(call.layers for call in calls[1:])


@x86_only
def test_the_manifest_has_the_calls(artefact: ArtefactFactory):
    manifest = artefact(size=SIZE).manifest
    assert {call.kernel for call in manifest.calls} == {one.name for one in manifest.kernels}
    stem = next(c for c in manifest.calls if "net.backbone.encoder.stem.conv" in c.layers)
    assert stem.kernel.startswith("conv2d")
    assert manifest.calls[-1].layers[-1] == "net"
