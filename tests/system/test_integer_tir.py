"""The backbone's kernels hold no float but the one multiply of requantization.

First that the walker which checks it finds every kind of offence, then that MQNet has none.
"""

from __future__ import annotations

import pytest
import tvm
from lowered_backbones import ATTENTIONS, backbone_name, scheduled_backbones
from tir_walker import float_violations
from tvm import ir, relax, te, tirx
from tvm.script import tirx as T

from compile.kernels.common.quantize_op import quantize_int8
from compile.kernels.common.requantize import quantize, requantize, to_float
from compile.kernels.cpu.plain.elementwise import create_add, create_multiply

SHAPE = (4, 16)


def kernel(body, multiplier_shape: tuple[int, ...] = (16,), name: str = "multiplier"):
    """A kernel int32 [4,16] -> ``body(acc, multiplier, quant)`` [4,16]."""
    data = te.placeholder(SHAPE, "int32", name="data")
    multiplier = te.placeholder(multiplier_shape, "float32", name=name)
    quant = te.placeholder((4,), "int32", name="quant")

    def compute(y: tirx.Expr, c: tirx.Expr) -> tirx.Expr:
        index = (c,) if len(multiplier_shape) == 1 else (y, c)
        return body(data[y, c], multiplier[index], quant)

    out = te.compute(SHAPE, compute, name="out")
    return te.create_prim_func([data, multiplier, quant, out])


def constant(value: float) -> tirx.Expr:
    return tirx.const(value, "float32")


def scaled(acc: tirx.Expr, multiplier: tirx.Expr) -> tirx.Expr:
    return to_float(acc) * multiplier


def unfenced_sum(acc: tirx.Expr, multiplier: tirx.Expr, quant: te.Tensor) -> tirx.Expr:
    return quantize(scaled(acc, multiplier) + scaled(acc, multiplier), quant)


OFFENCES = {
    "constant added": lambda a, m, q: quantize(scaled(a, m) + constant(0.5), q),
    "constant factor": lambda a, m, q: quantize(to_float(a) * constant(0.5), q),
    "two factors": lambda a, m, q: quantize(scaled(a, m) * m, q),
    "division": lambda a, m, q: quantize(to_float(a) / m, q),
    "exp": lambda a, m, q: quantize(tirx.exp(scaled(a, m)), q),
    "floor": lambda a, m, q: quantize(tirx.floor(scaled(a, m)), q),
    "sum without fences": unfenced_sum,
    "multiplier alone": lambda a, m, q: quantize(m, q),
    "float64": lambda a, m, q: quantize(
        (a.astype("float64") * m.astype("float64")).astype("float32"), q
    ),
    "float limit": lambda a, m, q: quantize_int8(
        scaled(a, m), q[1], q[2], scaled(q[3], m).astype("int32")
    ),
    "cast to int32": lambda a, m, q: scaled(a, m).astype("int32"),
    "cast to int8": lambda a, m, q: scaled(a, m).astype("int8"),
    "float result": lambda a, m, q: scaled(a, m),
    "comparison": lambda a, m, q: tirx.Select(to_float(a) * m > constant(0), a, -a),
    "float in the index": lambda a, m, q: q[(to_float(a) * m).astype("int32")],
    "float in the accumulator": lambda a, m, q: requantize((to_float(a) * m).astype("int32"), m, q),
    "bits of a float": lambda a, m, q: a + tirx.reinterpret("int32", m),
    "bits as a float": lambda a, m, q: a + tirx.reinterpret("float32", a).astype("int32"),
    "foreign function": lambda a, m, q: tirx.call_extern("int32", "lroundf", a),
}


@pytest.mark.parametrize("offence", OFFENCES)
def test_walker_finds(offence: str) -> None:
    assert float_violations(kernel(OFFENCES[offence]))


def test_walker_finds_parameters_that_are_no_multiplier() -> None:
    assert float_violations(kernel(requantize, (16,), "scale"))
    assert float_violations(kernel(requantize, (4, 16)))


def test_walker_finds_a_float_accumulator() -> None:
    left, right = (te.placeholder((4, 8), "int8", name=name) for name in ("left", "right"))
    multiplier = te.placeholder((4,), "float32", name="multiplier")
    quant = te.placeholder((4,), "int32", name="quant")
    k = te.reduce_axis((0, 8), name="k")

    def product(i: tirx.Expr, j: tirx.Expr) -> tirx.Expr:
        return te.sum(left[i, k].astype("float32") * right[j, k].astype("float32"), axis=k)

    total = te.compute((4, 4), product, name="total")
    out = te.compute(
        (4, 4), lambda i, j: requantize(total[i, j].astype("int32"), multiplier[j], quant)
    )
    violations = float_violations(te.create_prim_func([left, right, multiplier, quant, out]))
    assert any("total" in violation for violation in violations)


def test_walker_finds_a_float_buffer_that_is_only_allocated() -> None:
    @T.prim_func(s_tir=True)
    def with_buffer(data: T.Buffer((16,), "int8"), out: T.Buffer((16,), "int8")):
        temporary = T.sblock_alloc_buffer((16,), "float32")  # noqa: F841 (it is to be found)
        for i in range(16):
            with T.sblock("copy"):
                vi = T.axis.spatial(16, i)
                out[vi] = data[vi]

    assert any("temporary" in violation for violation in float_violations(with_buffer))


def test_walker_finds_a_multiplier_that_is_written() -> None:
    @T.prim_func(s_tir=True)
    def writes(data: T.Buffer((16,), "int32"), multiplier: T.Buffer((16,), "float32")):
        for i in range(16):
            with T.sblock("store"):
                vi = T.axis.spatial(16, i)
                multiplier[vi] = T.Cast("float32", data[vi])

    assert float_violations(writes)


@pytest.mark.parametrize(
    "function",
    [kernel(requantize), create_add(SHAPE, SHAPE), create_multiply(SHAPE, (1, 16))],
    ids=["requantize", "add", "multiply"],
)
def test_walker_lets_the_rules_pass(function: tirx.PrimFunc) -> None:
    assert float_violations(function) == []


def called_kernels(mod: tvm.IRModule, function: relax.Function) -> dict[str, tirx.PrimFunc]:
    """Every TIR kernel that a Relax ``function`` mentions, by name."""
    names = set()

    def visit(expr: ir.Expr) -> None:
        if isinstance(expr, ir.GlobalVar):
            names.add(expr.name_hint)

    relax.analysis.post_order_visit(function, visit)
    functions = {name: mod[name] for name in sorted(names)}
    assert all(isinstance(f, tirx.PrimFunc) for f in functions.values()), "not only kernels"
    return functions


@pytest.mark.parametrize("bits", [256, pytest.param(512, marks=pytest.mark.slow)])
@pytest.mark.parametrize("attention", ATTENTIONS)
def test_backbone_is_integer(attention: str, bits: int) -> None:
    mod = scheduled_backbones(64, 96, bits)
    kernels = called_kernels(mod, mod[backbone_name(attention)])
    assert len(kernels) > 25, "the backbone's kernels were not found"
    violations = {name: float_violations(function) for name, function in kernels.items()}
    assert {name: found for name, found in violations.items() if found} == {}


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_backbone_has_no_float_tensor(attention: str) -> None:
    """Between the kernels, too: constants named multiplier are the kernels' only float operands."""
    mod = scheduled_backbones(64, 96, 256)
    floats = []

    def visit(expr: ir.Expr) -> None:
        ty = getattr(expr, "ty", None)
        is_float = isinstance(ty, relax.TensorType) and "float" in str(ty.dtype)
        if is_float and not isinstance(expr, ir.GenericConst):
            floats.append(str(expr))

    relax.analysis.post_order_visit(mod[backbone_name(attention)], visit)
    assert floats == []
