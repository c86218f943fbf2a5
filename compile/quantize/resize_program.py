"""Give an exported program another size of input without tracing it again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torch import Tensor, fx
from torch._subclasses import FakeTensorMode
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.fx.passes.fake_tensor_prop import FakeTensorProp

from compile.networks.network import Network
from compile.quantize.export_network import exporting


def resize_program(
    network: Network, program: ExportedProgram, inputs: tuple[Tensor, ...]
) -> ExportedProgram:
    """Make ``program``, of ``network``, whose graph holds no size, one that takes ``inputs``: only
    the shapes that the graph is annotated with are computed anew.

    It is ``program`` itself, changed. Tracing it gives the same and takes five times as long.

    Raises:
        GraphError: it does not take this size.
    """
    tensors = list(tensors_of(program))
    annotate_shapes(network, program.graph_module, tensors, inputs)
    program._example_inputs = (inputs, {})
    program._guards_code = []
    return program


def annotate_shapes(
    network: Network,
    module: fx.GraphModule,
    tensors: Sequence[Tensor],
    inputs: tuple[Tensor, ...],
) -> None:
    """Note at each node of ``module``, of ``network``, what it makes of ``tensors`` and ``inputs``,
    which its placeholders stand for.

    Raises:
        GraphError: it does not take this size.
    """
    with exporting(network, inputs), FakeTensorMode() as mode:
        given = [mode.from_tensor(one, static_shapes=True) for one in (*tensors, *inputs)]
        _Shapes(module, mode).propagate_dont_convert_inputs(*given)


def tensors_of(program: ExportedProgram) -> Iterator[Tensor]:
    """The parameters and buffers of ``program``, which its placeholders stand for; those of its
    inputs come last."""
    for spec in program.graph_signature.input_specs:
        if spec.kind is not InputKind.USER_INPUT:
            assert spec.target is not None
            kept = program.state_dict.get(spec.target)
            yield program.constants[spec.target] if kept is None else kept


class _Shapes(FakeTensorProp):
    def run_node(self, node: fx.Node) -> object:
        node.meta.pop("tensor_meta", None)  # Of the other size.
        return super().run_node(node)
