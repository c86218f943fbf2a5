"""The precision that a scheme, with the rules of a recipe, wants each operation of a graph in."""

from __future__ import annotations

from collections.abc import Iterable

from torch.fx import Node

from compile.networks.parts import BACKBONE, FLOAT, HEAD, Parts, module_path
from compile.quantize.recipe import matches
from compile.quantize.schemes import Precision, Rule, Scheme
from compile.support.errors import MqnetError


def precisions_of(parts: Parts, scheme: Scheme, root: str) -> dict[Node, Precision]:
    """The precision that ``scheme`` wants each operation in; paths in its rules are those in the
    module at the path ``root``."""
    precisions = {BACKBONE: scheme.backbone, HEAD: scheme.head, FLOAT: Precision.FLOAT}
    wanted = {node: precisions[part] for node, part in parts.items()}
    for rule in scheme.rules:
        wanted |= dict.fromkeys(_nodes_of(rule, parts, root), rule.precision)
    return wanted


def check_rules(parts: Parts, scheme: Scheme, root: str) -> None:
    """Raise where a rule of ``scheme`` is of no operation, or its rules leave none in int8.

    Raises:
        MqnetError: it names the rule, and what there is; or says what to choose.
    """
    for number, rule in enumerate(scheme.rules, start=1):
        if _nodes_of(rule, parts, root):
            continue
        paths = sorted({module_path(node).removeprefix(f"{root}.") for node in parts} - {root, ""})
        names = sorted({operation_name(node) for node in parts})
        raise MqnetError(
            f"rule {number} of the recipe (modules {rule.modules!r}, operations "
            f"{list(rule.operations)}) is of no operation: the network has modules "
            f"{', '.join(paths)} and operations {', '.join(names)}"
        )
    if not scheme.rules or not scheme.calibrates:
        return
    if Precision.INT8 not in precisions_of(parts, scheme, root).values():
        raise MqnetError(
            f"the recipe leaves no operation of scheme {scheme.name} in int8: take a rule out, or "
            "name a scheme without int8 activations in it, such as fp32 or w8a32"
        )


def check_ranges(known: Iterable[str], scheme: Scheme, root: str) -> None:
    """Raise where a range of ``scheme`` is of none of the modules at the paths ``known``.

    Raises:
        MqnetError: it names the range, and what there is.
    """
    paths = sorted(path.removeprefix(f"{root}.") for path in known)
    for given in scheme.ranges:
        if given.module not in paths:
            raise MqnetError(
                f"the recipe's range of module {given.module!r} is of nothing: ranges are of "
                "convolutions and of arithmetic with a constant whose own result is int8, here "
                f"{', '.join(paths) or 'none'}"
            )


def operation_name(node: Node) -> str:
    """PyTorch's name of what ``node`` does, such as "conv2d"."""
    return getattr(node.target, "__name__", str(node.target)).partition(".")[0]


def _nodes_of(rule: Rule, parts: Parts, root: str) -> list[Node]:
    return [
        node
        for node in parts
        if matches(rule, module_path(node).removeprefix(f"{root}."), operation_name(node))
    ]
