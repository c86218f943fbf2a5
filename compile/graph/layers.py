"""Which layers of the network a call computes, kept where TVM keeps where code came from: its span.

The importer names them, rewrites pass them on, and :mod:`compile.artefact.list_calls` reads
them off the planned module. Most passes of TVM keep the spans of calls; those that replace calls by
new ones bind these to the old variables, by which :func:`keep_layers` finds them again. Not a pass
itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import tvm
from tvm import relax
from tvm.ir import SequentialSpan, SourceName, Span

#: Qualified names of PyTorch modules, such as "net.head.conv1"; none where nobody knows.
Layers = tuple[str, ...]


def layers_of(expr: relax.Expr) -> Layers:
    """The layers that ``expr`` computes, in the order in which they are computed."""
    spans = expr.span.spans if isinstance(expr.span, SequentialSpan) else ()
    return tuple(span.source_name.name for span in spans)


def with_layers(call: relax.Call, layers: Iterable[str]) -> relax.Call:
    """``call`` as one that computes ``layers``; each counts once."""
    spans = [Span(SourceName(layer), 0, 0, 0, 0) for layer in dict.fromkeys(layers)]
    return relax.Call(
        call.op, call.args, call.attrs, call.ty_args, SequentialSpan(spans), ret_ty=call.ty
    )


def label_calls(function: relax.Function, layers: Mapping[relax.Var, Layers]) -> relax.Function:
    """``function`` with the ``layers`` of its variables on the calls that compute them: what is
    bound to the variable, and what stands between it and the variable of ``layers`` before."""
    blocks = []
    for block in function.body.blocks:
        bindings, waiting = [], []
        for binding in block.bindings:
            waiting.append(binding)
            if binding.var in layers:
                bindings += [_labelled(each, layers[binding.var]) for each in waiting]
                waiting = []
        blocks.append(type(block)([*bindings, *waiting]))
    body = relax.BlockBuilder().normalize(relax.SeqExpr(blocks, function.body.body))
    return relax.Function(function.params, body, function.ret_ty, function.is_pure, function.attrs)


def keep_layers(replacing: tvm.transform.Pass) -> tvm.transform.Pass:
    """The pass ``replacing``, whose new calls compute the layers of the old ones. A kernel that
    takes the place of a primitive function computes those of the calls in it."""

    @tvm.transform.module_pass(opt_level=0, name=replacing.info.name)
    def transform(mod: tvm.IRModule, _ctx: tvm.transform.PassContext) -> tvm.IRModule:
        layers = {
            binding.var: layers_of(binding.value) or _inner_layers(mod, binding.value)
            for _, function in _relax_functions(mod)
            for block in function.body.blocks
            for binding in block.bindings
        }
        result = replacing(mod).clone()
        for name, function in _relax_functions(result):
            result.update_func(name, label_calls(function, layers))
        return result

    return transform


def _labelled(binding: relax.Binding, layers: Layers) -> relax.Binding:
    value = binding.value
    if not layers or not isinstance(value, relax.Call) or layers_of(value):
        return binding
    return relax.VarBinding(binding.var, with_layers(value, layers))


def _inner_layers(mod: tvm.IRModule, value: relax.Expr) -> Layers:
    """Of the calls in the function that ``value`` calls, if it does call one of ``mod``."""
    if not isinstance(value, relax.Call) or not isinstance(value.op, tvm.ir.GlobalVar):
        return ()
    function = mod[value.op]
    if not isinstance(function, relax.Function) or "Primitive" not in (function.attrs or {}):
        return ()
    blocks = function.body.blocks
    return tuple(
        layer for block in blocks for each in block.bindings for layer in layers_of(each.value)
    )


def _relax_functions(mod: tvm.IRModule) -> list[tuple[tvm.ir.GlobalVar, relax.Function]]:
    return [item for item in mod.functions_items() if isinstance(item[1], relax.Function)]
