"""Where in a network an exported operation came from, for what is said about it."""

from __future__ import annotations

from torch import fx


def module_of(node: fx.Node) -> str:
    """Return the dotted path and the class of the module that ``node`` was traced from."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    if not stack:
        return "the network itself"
    path, kind = stack[-1]
    kind = kind if isinstance(kind, str) else kind.__name__
    return f"module {path or '(root)'} of type {kind.rsplit('.', 1)[-1]}"
