"""Make an exported program of a converted graph without tracing it again."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor, fx, nn
from torch._export.verifier import TrainingIRVerifier
from torch.export import ExportedProgram, ModuleCallEntry, ModuleCallSignature
from torch.export.graph_signature import (
    ExportGraphSignature,
    InputKind,
    InputSpec,
    OutputKind,
    OutputSpec,
    TensorArgument,
)
from torch.fx.graph import _PyTreeCodeGen

from compile.networks.network import Network
from compile.quantize.export_network import export_network
from compile.quantize.generate_late import generating_late
from compile.quantize.resize_program import annotate_shapes
from compile.quantize.simplify_graph import simplify_graph


def lift_program(
    network: Network, module: fx.GraphModule, inputs: tuple[Tensor, ...]
) -> ExportedProgram:
    """Make a program at the size of ``inputs`` of ``module``: of what was exported of ``network``
    at whatever size, and then quantized.

    Its tensors become inputs, as :func:`torch.export.export` makes them, and its shapes are
    computed; the operations are the same. Tracing it gives the same and takes five times as long:
    only what holds more than operations and tensors is traced.

    Raises:
        GraphError: the network does not take this size.
    """
    lifted, codegen = _Lifted(), module.graph._codegen
    if not (isinstance(codegen, _PyTreeCodeGen) and lifted.take(module)):
        return export_network(network, module, inputs)
    with generating_late():
        graph_module = fx.GraphModule({}, lifted.graph)
        annotate_shapes(network, graph_module, lifted.tensors, inputs)
        info = codegen.pytree_info
        assert info.out_spec is not None
        program = ExportedProgram(
            root=graph_module,
            graph=lifted.graph,
            graph_signature=ExportGraphSignature(lifted.inputs, lifted.outputs),
            state_dict=lifted.state,
            range_constraints={},
            module_call_graph=[
                ModuleCallEntry(
                    "", ModuleCallSignature([], [], info.in_spec, info.out_spec, info.orig_args)
                )
            ],
            example_inputs=(inputs, {}),
            constants={**lifted.constants},
            verifiers=[TrainingIRVerifier],
        )
    simplify_graph(program)
    return program


@dataclass
class _Lifted:
    """A graph whose tensors are inputs.

    Attributes:
        graph: placeholders of parameters, of buffers and of the network's inputs, operations.
        tensors: of the first two.
        state: of those, what a checkpoint would have.
        constants: the others.
        inputs: a line for each placeholder.
        outputs: a line for each result.
    """

    graph: fx.Graph = field(default_factory=fx.Graph)
    tensors: list[Tensor] = field(default_factory=list)
    state: dict[str, Tensor | nn.Parameter] = field(default_factory=dict)
    constants: dict[str, Tensor] = field(default_factory=dict)
    inputs: list[InputSpec] = field(default_factory=list)
    outputs: list[OutputSpec] = field(default_factory=list)

    def take(self, module: fx.GraphModule) -> bool:
        """Take over ``module``; False where it holds what is no operation on tensors of its own."""
        placed = self._place_tensors(module)
        made: dict[fx.Node, fx.Node] = {}
        nodes = list(module.graph.nodes)
        for node in nodes:
            if node.op == "placeholder":
                made[node] = self._placeholder(node.name)
                argument = TensorArgument(made[node].name)
                self.inputs.append(InputSpec(InputKind.USER_INPUT, argument, None))
        for node in nodes:
            if node.op == "get_attr" and node.target in placed:
                made[node] = placed[node.target]
            elif node.op == "call_function":
                made[node] = self._copy(node, made)
            elif node.op == "output":
                results = fx.map_arg(node.args[0], made.__getitem__)
                self.graph.output(tuple(results))
                self.outputs += [
                    OutputSpec(OutputKind.USER_OUTPUT, TensorArgument(one.name), None)
                    for one in results
                ]
            elif node.op != "placeholder":
                return False
        return True

    def _place_tensors(self, module: fx.GraphModule) -> dict[object, fx.Node]:
        kept, placed = module.state_dict(), dict[object, fx.Node]()
        for kind, prefix, named in (
            (InputKind.PARAMETER, "p", module.named_parameters()),
            (InputKind.BUFFER, "b", module.named_buffers()),
        ):
            for name, tensor in named:
                node = self._placeholder(f"{prefix}_{name}")
                persistent = name in kept if kind is InputKind.BUFFER else None
                argument = TensorArgument(node.name)
                self.inputs.append(InputSpec(kind, argument, name, persistent))
                self.tensors.append(tensor)
                (self.state if name in kept else self.constants)[name] = tensor
                placed[name] = node
        return placed

    def _placeholder(self, name: str) -> fx.Node:
        node = self.graph.placeholder(name)
        # A parameter of the function that the graph becomes: modules may be called "block1-0".
        node.target = node.name
        return node

    def _copy(self, node: fx.Node, made: dict[fx.Node, fx.Node]) -> fx.Node:
        packet = getattr(node.target, "overloadpacket", node.target)
        copied = self.graph.create_node(
            "call_function",
            node.target,
            fx.map_arg(node.args, made.__getitem__),
            fx.map_arg(node.kwargs, made.__getitem__),
            getattr(packet, "__name__", None),
        )
        copied.meta = {**node.meta}
        copied.meta.setdefault("nn_module_stack", {"": ("", "")})
        return copied
