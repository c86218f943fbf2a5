"""Give a converted graph's int8 weights their modules' names, and drop the float ones.

PT2E leaves the float weights behind, unused, and calls the int8 ones ``_frozen_param0`` and so on:
the program would carry both and a dump of it could not be read.
"""

from __future__ import annotations

from torch.fx import GraphModule

from compile.networks.parts import module_path
from compile.networks.quantized_ops import DEQUANTIZE_PER_CHANNEL

NAMES = ("weight", "weight_scale", "weight_zero_point")
"""What the first three arguments of a weight's dequantization are called."""


def name_weights(graph_module: GraphModule) -> None:
    """Rename, in place, each convolution's int8 weight, its scale and its zero point.

    They become the buffers :data:`NAMES` of the module that the convolution was, or the first of
    several that share them; parameters that nothing reads are deleted.
    """
    read = {node.target for node in graph_module.graph.nodes if node.op == "get_attr"}
    for name in [name for name, _ in graph_module.named_parameters()]:
        if name not in read:
            owner, _, attribute = name.rpartition(".")
            delattr(graph_module.get_submodule(owner), attribute)
    renamed: dict[str, str] = {}
    for node in graph_module.graph.nodes:
        if node.target is not DEQUANTIZE_PER_CHANNEL:
            continue
        (conv,) = node.users
        path = module_path(conv)
        for source, name in zip(node.args[:3], NAMES, strict=True):
            if source.target in renamed.values():
                continue
            if source.target in renamed:
                source.target = renamed[source.target]
                continue
            tensor = getattr(graph_module, source.target)
            delattr(graph_module, source.target)
            graph_module.get_submodule(path).register_buffer(name, tensor)
            renamed[source.target] = f"{path}.{name}"
            source.target = f"{path}.{name}"
    graph_module.recompile()
