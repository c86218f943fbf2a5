"""Which layers of the network and which nodes of its exported program a call computes, kept where
TVM keeps where code came from: its span.

The importer names them, rewrites pass them on, and :mod:`compile.artefact.list_calls` reads
them off the planned module. Most passes of TVM keep the spans of calls; those that replace calls by
new ones bind these to the old variables, by which :func:`keep_layers` finds them again. Not a pass
itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import tvm
from tvm import relax
from tvm.ir import SequentialSpan, SourceName, Span

#: Qualified names of PyTorch modules, such as "net.head.conv1"; none where nobody knows.
Layers = tuple[str, ...]


class Mark(NamedTuple):
    """What a call was imported from.

    Attributes:
        layer: qualified name of the module; "" for none.
        node: number of the node in the exported program's graph; -1 where nobody knows.
    """

    layer: str
    node: int = -1


Marks = tuple[Mark, ...]


def marks_of(expr: relax.Expr) -> Marks:
    """What ``expr`` was imported from, in the order in which it is computed."""
    spans = expr.span.spans if isinstance(expr.span, SequentialSpan) else ()
    # TVM counts lines from 1, and 0 is of what has none.
    return tuple(Mark(span.source_name.name, span.line - 1) for span in spans)


def layers_of(expr: relax.Expr) -> Layers:
    """The layers that ``expr`` computes, in the order in which they are computed."""
    return tuple(dict.fromkeys(mark.layer for mark in marks_of(expr) if mark.layer))


def with_marks(call: relax.Call, marks: Iterable[Mark]) -> relax.Call:
    """``call`` as one that was imported from ``marks``; each counts once."""
    spans = [
        Span(SourceName(mark.layer), mark.node + 1, mark.node + 1, 0, 0)
        for mark in dict.fromkeys(marks)
    ]
    return relax.Call(
        call.op, call.args, call.attrs, call.ty_args, SequentialSpan(spans), ret_ty=call.ty
    )


def label_calls(function: relax.Function, marks: Mapping[relax.Var, Marks]) -> relax.Function:
    """``function`` with the ``marks`` of its variables on the calls that compute them: what is
    bound to the variable, and what stands between it and the variable of ``marks`` before."""
    blocks = []
    for block in function.body.blocks:
        bindings, waiting = [], []
        for binding in block.bindings:
            waiting.append(binding)
            if binding.var in marks:
                bindings += [_labelled(each, marks[binding.var]) for each in waiting]
                waiting = []
        blocks.append(type(block)([*bindings, *waiting]))
    body = relax.BlockBuilder().normalize(relax.SeqExpr(blocks, function.body.body))
    return relax.Function(function.params, body, function.ret_ty, function.is_pure, function.attrs)


def keep_layers(replacing: tvm.transform.Pass) -> tvm.transform.Pass:
    """The pass ``replacing``, whose new calls compute the layers of the old ones. A kernel that
    takes the place of a primitive function computes those of the calls in it."""

    @tvm.transform.module_pass(opt_level=0, name=replacing.info.name)
    def transform(mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tvm.IRModule:
        marks = {
            binding.var: marks_of(binding.value) or _inner_marks(mod, binding.value)
            for _, function in _relax_functions(mod)
            for block in function.body.blocks
            for binding in block.bindings
        }
        result = replacing(mod).clone()
        for name, function in _relax_functions(result):
            result.update_func(name, label_calls(function, marks))
        return result

    return transform


def _labelled(binding: relax.Binding, marks: Marks) -> relax.Binding:
    value = binding.value
    if not marks or not isinstance(value, relax.Call) or marks_of(value):
        return binding
    return relax.VarBinding(binding.var, with_marks(value, marks))


def _inner_marks(mod: tvm.IRModule, value: relax.Expr) -> Marks:
    """Of the calls in the function that ``value`` calls, if it does call one of ``mod``."""
    if not isinstance(value, relax.Call) or not isinstance(value.op, tvm.ir.GlobalVar):
        return ()
    function = mod[value.op]
    if not isinstance(function, relax.Function) or "Primitive" not in (function.attrs or {}):
        return ()
    blocks = function.body.blocks
    return tuple(
        mark for block in blocks for each in block.bindings for mark in marks_of(each.value)
    )


def _relax_functions(mod: tvm.IRModule) -> list[tuple[tvm.ir.GlobalVar, relax.Function]]:
    return [item for item in mod.functions_items() if isinstance(item[1], relax.Function)]
