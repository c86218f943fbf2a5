"""Finds what is float in a TIR kernel beyond the one multiply of requantization.

Everything is forbidden but this, inside of one expression::

    result     = mqnet.quantize_int8(scaled, zero point, low, high), the last three int32,
                 or mqnet.round_to_int8(scaled, zero point)
    scaled     = product | fence(product) + fence(product)
    product    = cast<float32>(an int32) * multiplier[...]

``multiplier`` is a 1-D float32 parameter of that name and ``fence`` is llvm.arithmetic.fence, which
keeps LLVM from fusing a product with the sum behind it. What the operator computes is tested by
itself, on every float there is a rule for.
"""

from __future__ import annotations

from collections.abc import Iterator

from tvm import ir, tirx
from tvm.runtime import Object
from tvm.target.codegen import llvm_lookup_intrinsic_id
from tvm.tirx.buffer import BufferType
from tvm_ffi import Array, Map

from compile.kernels.common.quantize_op import QUANTIZE_INT8, ROUND_TO_INT8

MULTIPLIER = "multiplier"

#: Regions repeat what the body says, types are looked at with their expressions.
_IGNORED_FIELDS = {"span", "ty", "reads", "writes", "annotations", "attrs"}
_FOREIGN_CALLS = ("extern", "packed", "cpacked")


def float_violations(function: tirx.PrimFunc) -> list[str]:
    """What is float in ``function`` and must not be, one sentence each; empty for a good kernel."""
    return _Walker(function).violations


class _Walker:
    def __init__(self, function: tirx.PrimFunc) -> None:
        self.violations: list[str] = []
        self.multipliers = [param for param in function.params if _is_multiplier(param)]
        for param in function.params:
            if not _is_multiplier(param) and _is_float(param):
                self.violations.append(f"parameter {param.name} is float")
        self._walk(function.body)

    def _walk(self, node: Object) -> None:
        """Report every float at and below ``node``, but for well-formed requantizations."""
        if _callee(node) in (QUANTIZE_INT8, ROUND_TO_INT8):
            scaled, *quantization = node.args
            integers = self._scaled(scaled)
            if integers is not None:
                for integer in (*integers, *quantization):
                    self._walk(integer)
                return
        if _is_float(node):
            self.violations.append(f"{type(node).__name__} {node} is float")
        if isinstance(node, ir.Call) and any(word in _callee(node) for word in _FOREIGN_CALLS):
            self.violations.append(f"{node} may compute anything")
        for child in _children(node):
            self._walk(child)

    def _scaled(self, scaled: ir.Expr) -> list[ir.Expr] | None:
        if not isinstance(scaled, tirx.Add):
            return self._product(scaled)
        sides = [_fenced(side) for side in (scaled.a, scaled.b)]
        if None in sides:
            return None
        products = [self._product(side) for side in sides]
        return None if None in products else [*products[0], *products[1]]

    def _product(self, product: ir.Expr) -> list[ir.Expr] | None:
        if not isinstance(product, tirx.Mul):
            return None
        for integer, load in ((product.a, product.b), (product.b, product.a)):
            integer = _widened_integer(integer)
            if integer is not None and self._is_multiplier_load(load):
                return [integer, *load.indices]
        return None

    def _is_multiplier_load(self, load: ir.Expr) -> bool:
        while isinstance(load, tirx.Broadcast):
            load = load.value
        return isinstance(load, ir.TensorLoad) and any(
            load.source.same_as(multiplier) for multiplier in self.multipliers
        )


def _is_multiplier(param: ir.Var) -> bool:
    ty = param.ty
    return (
        param.name == MULTIPLIER
        and isinstance(ty, BufferType)
        and len(ty.shape) == 1
        and _dtype(param) == "float32"
    )


def _dtype(node: Object) -> str:
    """Element type of an expression, a buffer or a pointer; empty for what has none."""
    ty = getattr(node, "ty", None)
    while isinstance(ty, BufferType | ir.PointerType):
        ty = ty.dtype if isinstance(ty, BufferType) else ty.element_type
    return str(ty.dtype) if isinstance(ty, ir.PrimType) else ""


def _is_float(node: Object) -> bool:
    return "float" in _dtype(node)


def _is_cast(node: Object, dtype: str) -> bool:
    return isinstance(node, tirx.Cast) and _dtype(node).split("x")[0] == dtype


def _widened_integer(expr: ir.Expr) -> ir.Expr | None:
    """The int32 that ``expr`` casts to float32, or None where it does something else."""
    is_widening = _is_cast(expr, "float32") and _dtype(expr.value).split("x")[0] == "int32"
    return expr.value if is_widening else None


def _callee(expr: Object) -> str:
    if not isinstance(expr, ir.Call):
        return ""
    return expr.op.name if isinstance(expr.op, ir.Op) else str(expr.op)


def _fenced(expr: ir.Expr) -> ir.Expr | None:
    if _callee(expr) != "tirx.call_llvm_pure_intrin":
        return None
    intrinsic, *args = expr.args
    is_fence = int(intrinsic) == llvm_lookup_intrinsic_id("llvm.arithmetic.fence")
    return args[0] if is_fence else None


def _children(node: Object) -> Iterator[Object]:
    """Every object that a field of ``node`` holds, by reflection: no kind of node is forgotten."""
    info = getattr(type(node), "__tvm_ffi_type_info__", None)
    while info is not None:
        for field in info.fields:
            if field.name not in _IGNORED_FIELDS:
                yield from _objects(getattr(node, field.name))
        info = getattr(info, "parent_type_info", None)


def _objects(value: object) -> Iterator[Object]:
    if isinstance(value, Array | Map):
        for item in value.values() if isinstance(value, Map) else value:
            yield from _objects(item)
    elif isinstance(value, Object):
        yield value
