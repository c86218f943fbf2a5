"""The kernels of a network that can be tuned, each with what a measurement needs of it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import tvm
from numpy.typing import NDArray
from tvm import relax, tirx
from tvm.relax.expr_functor import PyExprVisitor, visitor
from tvm.s_tir.meta_schedule.database import Workload

from compile.graph.schedule_attrs import is_scheduled
from compile.kernels.common.kernel_function import FAMILY_ATTR, MACS_ATTR
from compile.kernels.family import KernelFamilies
from compile.records.workload import kernel_module


@dataclass(frozen=True)
class TaskArguments:
    """What a kernel is called with.

    Attributes:
        key: the kernel's hash.
        shapes, dtypes: of its parameters, results last.
        inputs: how many of them it reads.
        constants: see :class:`KernelTask`.
    """

    key: str
    shapes: list[tuple[int, ...]]
    dtypes: list[str]
    inputs: int
    constants: dict[int, NDArray] = field(repr=False)

    def draw(self) -> list[NDArray]:
        """Inputs, the constants and numbers that are the same every time; then results, filled with
        what a kernel that forgets an element must not leave there."""
        random = np.random.default_rng(0)
        arrays = []
        for place, (shape, name) in enumerate(zip(self.shapes, self.dtypes, strict=True)):
            dtype = np.dtype(name)
            if place >= self.inputs:
                arrays.append(np.full(shape, 85, dtype))
            elif place in self.constants:
                arrays.append(self.constants[place])
            elif dtype.kind == "f":
                arrays.append(random.standard_normal(shape, np.float32).astype(dtype))
            else:
                limits = np.iinfo(dtype)
                arrays.append(random.integers(limits.min, limits.max, shape, dtype, endpoint=True))
        return arrays


@dataclass(frozen=True, eq=False)
class KernelTask:
    """One kernel that can be tuned.

    Attributes:
        name: of the function in the network.
        family: of its design space.
        calls: in a frame.
        module: the kernel before its schedule, as JSON: loaded anew for each use, since a schedule
            may change what modules share.
        inputs: how many of its parameters it reads; the others are results.
        constants: the first call's operands that are known at compile time, by position: numbers
            such as weights, multipliers and zero points, which cannot be drawn at random.
    """

    name: str
    family: str
    calls: int
    module: str
    inputs: int
    constants: dict[int, NDArray] = field(repr=False)

    @cached_property
    def key(self) -> str:
        """The structural hash, as MetaSchedule writes it."""
        return str(self.workload().as_json()[0])

    @cached_property
    def arguments(self) -> TaskArguments:
        """What it is measured with."""
        types = [param.ty for param in self.load()["main"].params]
        shapes = [tuple(int(extent) for extent in ty.shape) for ty in types]
        dtypes = [str(ty.dtype.dtype) for ty in types]
        return TaskArguments(self.key, shapes, dtypes, self.inputs, self.constants)

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of one call."""
        return int((self.load()["main"].attrs or {}).get(MACS_ATTR, 0))

    def workload(self) -> Workload:
        """As MetaSchedule's database has it."""
        return Workload(self.load())

    def load(self) -> tvm.IRModule:
        """The module, shared with nobody."""
        return tvm.ir.load_json(self.module)


@dataclass(frozen=True)
class NetworkKernels:
    """What a network calls.

    Attributes:
        tasks: kernels that can be tuned, in the order of their first calls.
        untunable: how many kernels there are of each family that has its default schedule only.
    """

    tasks: list[KernelTask]
    untunable: dict[str, int]


def kernel_task(
    name: str,
    family: str,
    kernel: tirx.PrimFunc,
    inputs: int,
    calls: int = 1,
    constants: dict[int, NDArray] | None = None,
) -> KernelTask:
    """The task of a kernel that has no schedule yet."""
    module = tvm.ir.save_json(kernel_module(kernel))
    return KernelTask(name, family, calls, module, inputs, constants or {})


def network_kernels(lowered: tvm.IRModule, families: KernelFamilies) -> NetworkKernels:
    """The kernels of a module whose kernels have no schedules yet; those that are equal are one.
    Those of ``families`` that are cut in more than one way can be tuned."""
    calls = _Calls(lowered)
    for _, function in lowered.functions_items():
        if isinstance(function, relax.Function):
            calls.visit_expr(function)
    tasks: dict[str, KernelTask] = {}
    untunable: Counter[str] = Counter()
    for name, (count, operands) in calls.by_kernel.items():
        kernel = lowered[name]
        family = None if is_scheduled(kernel) else families.of(kernel)
        if family is None or not family.is_tunable:
            untunable[str((kernel.attrs or {}).get(FAMILY_ATTR, "other"))] += 1
            continue
        constants = {
            place: operand.value.numpy()
            for place, operand in enumerate(operands)
            if isinstance(operand, tvm.ir.GenericConst)
        }
        task = kernel_task(name, family.name, kernel, len(operands), count, constants)
        if task.key in tasks:
            first = tasks[task.key]
            task = replace(first, calls=first.calls + count)
        tasks[task.key] = task
    return NetworkKernels(list(tasks.values()), dict(untunable))


@visitor
class _Calls(PyExprVisitor):
    """How often each kernel is called, and the operands of its first call."""

    def __init__(self, module: tvm.IRModule) -> None:
        super().__init__()
        self._module = module
        self.by_kernel: dict[str, tuple[int, list[relax.Expr]]] = {}

    def visit_call_(self, call: relax.Call) -> None:
        if call.op == tvm.ir.Op.get("relax.call_tir") and isinstance(
            self._module[call.args[0]], tirx.PrimFunc
        ):
            name = call.args[0].name_hint
            count, operands = self.by_kernel.get(name, (0, list(call.args[1].fields)))
            self.by_kernel[name] = count + 1, operands
        super().visit_call_(call)
