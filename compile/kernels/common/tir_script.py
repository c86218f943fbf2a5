"""TVMScript's ``prim_func`` without a look at the whole stack, whose source is read once."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache, cached_property
from types import CodeType
from typing import Any

import tvm
from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.script.parser._core import Parser, doc, utils
from tvm.script.parser.core.diagnostics import Source
from tvm.script.parser.core.error import ParserError
from tvm.script.parser.core.evaluator import ExprEvaluator
from tvm.script.parser.core.parser import ScriptMacro


def prim_func(*, s_tir: bool, private: bool = False) -> Callable[[Callable], tirx.PrimFunc]:
    """Parse a function of TVMScript, as ``T.prim_func`` does: a decorator.

    It is used by way of this module's name, which the parser looks for: ``tir_script.prim_func``;
    the parser reads ``s_tir`` and ``private`` off the source, too. TVM's own looks for the source
    of every function on the stack (``inspect.stack``), twice for each that it parses, to find the
    variables that only annotations name; in a build that takes longer than parsing. Here they are
    those of the function that holds the decorated one.
    """
    around = sys._getframe(1).f_locals

    def parsed(function: Callable) -> tirx.PrimFunc:
        names = {**function.__globals__, **around, **utils.get_func_nonlocals(function)}
        return _parse(function, names)

    parsed.dispatch_token = "tirx"  # type: ignore[attr-defined]  # The parser asks for it.
    return parsed


def _parse(function: Callable, names: dict[str, Any]) -> tirx.PrimFunc:
    """Do what TVM's ``parse`` does with one function, in half of the time: its source, which is
    the same for every shape, is looked for and read once, and names are looked up, not compiled."""
    parser = _Parser(_source_of(function.__code__), {function.__name__: function.__annotations__})
    with IRBuilder() as builder:
        try:
            parser.parse(names)
        except ParserError as error:
            parser.report_error(error.node, error.args[0])
    found = builder.get()
    tvm.s_tir.analysis.verify_well_formed(tvm.IRModule.from_expr(found))
    return found


class _Source(Source):
    """Source of a function, whose tree is made once."""

    @cached_property
    def _tree(self) -> doc.AST:
        return super().as_ast()

    def as_ast(self) -> doc.AST:
        return self._tree


@cache
def _source_of(code: CodeType) -> _Source:
    return _Source(code)


class _Parser(Parser):
    def eval_expr(self, node: doc.AST, extra_vars: dict[str, Any] | None = None) -> Any:
        names = {**self.var_table.get(), **(extra_vars or {}), ScriptMacro.parser_object_name: self}
        evaluator = _Evaluator(self, names)
        value = evaluator._eval_expr(evaluator._visit(node))
        return self.annotate_current_source_span(value)


class _Evaluator(ExprEvaluator):
    """TVM's, without Python's compiler for what is a value's name, an attribute or a call: by the
    time it is evaluated, each operand is a name or a constant."""

    def _eval_expr(self, v: doc.AST) -> Any:
        match v:
            case doc.Name(id=name) if name in self.value_table:
                return self.value_table[name]
            case doc.Constant(value=value):
                return value
            case doc.Attribute(value=whole, attr=name):
                return getattr(self._eval_expr(whole), name)
            case doc.Call(func=function, args=args, keywords=keywords) if not any(
                isinstance(one, doc.Starred) for one in args
            ) and all(one.arg for one in keywords):
                values = [self._eval_expr(one) for one in args]
                named = {one.arg: self._eval_expr(one.value) for one in keywords}
                return self._eval_expr(function)(*values, **named)
        return super()._eval_expr(v)
