"""Modules for the operations of a flat graph, so that it is quantized and named as a module is.

Weights of a traced program are arguments of its operations. Folding, replacing and counting look
for modules, and layers are called by the paths of modules.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn

from compile.networks.parts import module_path
from compile.support.errors import GraphError

aten = torch.ops.aten

_DECOMPOSED_NORM = aten._native_batch_norm_legit_no_training.default

#: Arguments of a call by name, with the values of those that are left out.
_Defaults = dict[str, Any]
_CONVOLUTION: _Defaults = {
    "stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1,
}  # fmt: skip
_TRANSPOSED: _Defaults = {
    "stride": (1, 1), "padding": (0, 0), "output_padding": (0, 0), "groups": 1, "dilation": (1, 1),
}  # fmt: skip


class Operation(nn.Module):
    """One call of a function: its arguments are those of the call."""

    def __init__(self, function: Callable[..., Any]) -> None:
        """Around ``function``."""
        super().__init__()
        self.function = function

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The function's result."""
        return self.function(*args, **kwargs)


def restore_modules(graph_module: fx.GraphModule) -> fx.GraphModule:
    """A graph module in evaluation mode that computes what ``graph_module`` does, each operation in
    a module at the path that it was traced from: convolutions and batch norms, whose weights are
    constants, in torch's own, which hold the weights."""
    return _Restoring(graph_module).run()


class _Restoring:
    def __init__(self, source: fx.GraphModule) -> None:
        self.source = source
        self.graph = fx.Graph()
        self.root: dict[str, Any] = {}
        self.nodes: dict[fx.Node, fx.Node] = {}
        self.shared: dict[tuple[Any, ...], str] = {}

    def run(self) -> fx.GraphModule:
        for node in self.source.graph.nodes:
            if node.op == "placeholder":
                self.nodes[node] = self.graph.placeholder(node.name)
            elif node.op == "output":
                results = (
                    [self.read(result) for result in node.args[0]]
                    if isinstance(node.args[0], list | tuple)
                    else [self.read(node.args[0])]
                )
                self.graph.output(results[0] if len(results) == 1 else tuple(results))
            elif node.op == "call_function":
                self.nodes[node] = self.called(node)
        return fx.GraphModule(self.root, self.graph).eval()

    def called(self, node: fx.Node) -> fx.Node:
        made = _MODULES.get(node.target)
        arguments = [self.constant(arg) for arg in node.args]
        source = arguments[0] if arguments else None
        if isinstance(source, fx.Node) and source.target is _DECOMPOSED_NORM:
            assert node.target is operator.getitem and arguments[1] == 0
            return self.nodes[source]
        if made is None or not isinstance(arguments[1], Tensor | None):
            assert callable(node.target)
            path = self.path_for(node)
            self.root[path] = Operation(node.target)
            args, kwargs = fx.map_arg((node.args, node.kwargs), self.read)
            return self.graph.call_module(path, args, kwargs)
        key = (node.target, *map(str, node.args[1:]))
        if key not in self.shared:
            self.shared[key] = self.path_for(node)
            self.root[self.shared[key]] = made(arguments)
        return self.graph.call_module(self.shared[key], (self.read(node.args[0]),))

    def path_for(self, node: fx.Node) -> str:
        """That of the module that ``node`` is from, if it is the first there, or one below it."""
        path = module_path(node)
        taken = not path or any(f"{one}.".startswith(f"{path}.") for one in self.root)
        beneath = any(path.startswith(f"{one}.") for one in self.root)
        if not taken and not beneath:
            return path
        return f"{path}.{node.name}" if path else node.name

    def constant(self, arg: Any) -> Any:
        """The tensor behind ``arg``, or ``arg`` itself."""
        if not isinstance(arg, fx.Node) or arg.op != "get_attr":
            return arg
        value: Any = self.source
        for name in str(arg.target).split("."):
            value = getattr(value, name)
        return value

    def read(self, arg: Any) -> fx.Node:
        """The new node of an old one."""
        if arg not in self.nodes:
            name = "constants." + str(arg.target).replace(".", "_")
            tensor = self.constant(arg)
            self.root[name] = tensor.detach() if isinstance(tensor, Tensor) else tensor
            self.nodes[arg] = self.graph.get_attr(name)
        return self.nodes[arg]


def _convolution(arguments: list[Any]) -> nn.Module:
    """``conv2d(x, weight, bias, stride, padding, dilation, groups)``."""
    (weight, bias), given = _tensors(arguments), _named(arguments, _CONVOLUTION)
    outputs, inputs, *kernel = weight.shape
    if isinstance(given["padding"], str):
        given["padding"] = _padding(given["padding"], kernel, given["dilation"])
    conv = nn.Conv2d(
        inputs * given["groups"], outputs, tuple(kernel), bias=bias is not None, **given
    )
    return _with_weights(conv, weight, bias)


def _padding(name: str, kernel: list[int], dilation: tuple[int, ...]) -> Any:
    """That of ``name``, "same" or "valid", in numbers, where it is alike on both sides."""
    steps = dilation if len(dilation) == 2 else dilation * 2
    missing = [step * (taps - 1) for step, taps in zip(steps, kernel, strict=True)]
    if name == "valid":
        return 0
    return name if any(one % 2 for one in missing) else tuple(one // 2 for one in missing)


def _transposed_convolution(arguments: list[Any]) -> nn.Module:
    """``conv_transpose2d(x, weight, bias, stride, padding, output_padding, groups, dilation)``."""
    (weight, bias), given = _tensors(arguments), _named(arguments, _TRANSPOSED)
    inputs, outputs, *kernel = weight.shape
    conv = nn.ConvTranspose2d(
        inputs, outputs * given["groups"], tuple(kernel), bias=bias is not None, **given
    )
    return _with_weights(conv, weight, bias)


def _any_convolution(arguments: list[Any]) -> nn.Module:
    """``convolution(x, weight, bias, stride, padding, dilation, transposed, output_padding,
    groups)``, what a decomposed program has."""
    *first, dilation, transposed, output_padding, groups = arguments
    if transposed:
        return _transposed_convolution([*first, output_padding, groups, dilation])
    return _convolution([*first, dilation, groups])


def _linear(arguments: list[Any]) -> nn.Module:
    """``linear(x, weight, bias)``."""
    weight, bias = _tensors(arguments)
    outputs, inputs = weight.shape
    return _with_weights(nn.Linear(inputs, outputs, bias is not None), weight, bias)


def _batch_norm(arguments: list[Any]) -> nn.Module:
    """``batch_norm(x, weight, bias, mean, variance, training, momentum, eps, cudnn_enabled)``."""
    _, weight, bias, mean, variance, training, momentum, eps = arguments[:8]
    if training or mean is None:
        raise GraphError(
            "a batch norm depends on the whole batch: export the network in evaluation mode "
            "(call its eval()) and with running statistics"
        )
    norm = nn.BatchNorm2d(len(mean), eps, momentum, affine=weight is not None)
    norm.running_mean, norm.running_var = mean.detach(), variance.detach()
    return norm if weight is None else _with_weights(norm, weight, bias)


def _decomposed_batch_norm(arguments: list[Any]) -> nn.Module:
    """``(x, weight, bias, mean, variance, momentum, eps)``; it gives a tuple, whose first is the
    result."""
    return _batch_norm([*arguments[:5], False, *arguments[5:]])


_MODULES: dict[Any, Callable[[list[Any]], nn.Module]] = {
    aten.conv2d.default: _convolution,
    aten.conv2d.padding: _convolution,
    aten.conv_transpose2d.input: _transposed_convolution,
    aten.convolution.default: _any_convolution,
    aten.linear.default: _linear,
    aten.batch_norm.default: _batch_norm,
    _DECOMPOSED_NORM: _decomposed_batch_norm,
}


def _tensors(arguments: list[Any]) -> tuple[Any, Any]:
    """Weight and bias, which is None where there is none."""
    weight, bias = (*arguments[1:3], None)[:2]
    return weight, bias


def _named(args: list[Any], defaults: _Defaults) -> _Defaults:
    given = dict(zip(defaults, args[3:], strict=False))
    pairs = {**defaults, **given}
    return {name: tuple(v) if isinstance(v, list) else v for name, v in pairs.items()}


def _with_weights(module: nn.Module, weight: Tensor, bias: Tensor | None) -> nn.Module:
    module.weight = nn.Parameter(weight.detach())
    if bias is not None:
        module.bias = nn.Parameter(bias.detach())
    return module
