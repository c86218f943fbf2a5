"""Whether all convolutions of a network have the weights that its scheme wants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import torch
from torch import fx, nn

from compile.networks.export_wrapper import ROOT
from compile.networks.parts import Parts, module_path
from compile.quantize.schemes import Precision


def count_convolutions(
    net: nn.Module, graph: fx.Graph, parts: Parts, precisions: Mapping[fx.Node, Precision]
) -> Counter[str]:
    """Count the convolutions of each part in the exported ``graph`` of ``net`` whose weights are to
    be int8.

    Raises:
        RuntimeError: ``parts`` lack some, so that they would stay in float.
    """
    convolutions = [node for node in graph.nodes if node.target is torch.ops.aten.conv2d.default]
    found = [node for node in convolutions if node in parts]
    # A module may be of training only.
    called = {module_path(node) for node in graph.nodes}
    modules = sum(
        isinstance(inner, nn.Conv2d) and f"{ROOT}.{path}" in called
        for path, inner in net.named_modules()
    )
    if len(found) < max(len(convolutions), modules):
        raise RuntimeError(f"{len(found)} of {modules} convolutions are in a part")
    return Counter(parts[node] for node in found if precisions[node] is not Precision.FLOAT)


def check_complete(wanted: Counter[str], quantized: Counter[str]) -> None:
    """Compare how many convolutions of each part are wanted in int8 with those that are: a
    quantizer that matches nothing would raise nothing by itself.

    Raises:
        RuntimeError: a convolution was missed.
    """
    for part in sorted({*wanted, *quantized}):  # The same sentence each time.
        if quantized[part] != wanted[part]:
            raise RuntimeError(
                f"{quantized[part]} of the {wanted[part]} convolutions of the {part} were quantized"
            )
