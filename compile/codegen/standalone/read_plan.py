"""Read a frame out of a planned module: tensors, where each lies, and kernel calls in order.

What TVM's virtual machine is told by bytecode is here plain data. Tensors that live at different
times share one block of memory, each at an offset: the kernels of the standalone form are told
addresses, and not, as the virtual machine's are, storages that a tensor has to begin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Literal

import tvm
from tvm import relax, tirx

from compile.graph.layers import layers_of, marks_of
from compile.graph.parts import MAIN
from compile.graph.quantized_graph import op_name
from compile.support.errors import GraphError

#: Of tensors in memory, in bytes: what TVM's kernels demand.
ALIGNMENT = 64

Place = Literal["weights", "arena", "input", "output"]


@dataclass(frozen=True)
class FrameTensor:
    """A tensor of a frame.

    Attributes:
        place: where it lies.
        offset: into the weights or the arena, in bytes; of an input or output its number.
        shape, dtype: as a kernel sees it.
    """

    place: Place
    offset: int
    shape: tuple[int, ...]
    dtype: str

    @property
    def bytes(self) -> int:
        """Its size."""
        return bytes_of(self.shape, self.dtype)


@dataclass(frozen=True)
class FrameCall:
    """One kernel call.

    Attributes:
        kernel: name of the function.
        layers: of the network that it computes.
        arguments: numbers of tensors, the results last.
        results: how many of them are results.
        nodes: of the exported program that it computes, by number.
    """

    kernel: str
    layers: tuple[str, ...]
    arguments: tuple[int, ...]
    results: int
    nodes: tuple[int, ...] = ()


@dataclass(frozen=True)
class FramePlan:
    """All that a runtime has to know to compute a frame.

    Attributes:
        tensors: by number.
        calls: in order.
        weights: the constants, one after the other, each aligned.
        arena_bytes: memory that tensors between kernels share.
        inputs, outputs: numbers of tensors.
        copies: pairs of a tensor and an output that it is copied to behind all calls.
    """

    tensors: tuple[FrameTensor, ...]
    calls: tuple[FrameCall, ...]
    weights: bytes
    arena_bytes: int
    inputs: tuple[FrameTensor, ...]
    outputs: tuple[FrameTensor, ...]
    copies: tuple[tuple[int, int], ...]


def read_plan(planned: tvm.IRModule, function: str = MAIN) -> FramePlan:
    """Read ``function`` of a module from :func:`compile.passes.plan_memory.plan_memory`.

    Raises:
        GraphError: it holds what is neither a kernel call nor memory.
    """
    return _Reader(planned).read(planned[function])


def bytes_of(shape: Sequence[int], dtype: str) -> int:
    """Compute the size of a tensor without gaps."""
    return prod(shape) * tvm.DataType(dtype).itemsize


@dataclass
class _Memory:
    """A tensor's own memory from the call ``first`` to the call ``last``, both included."""

    bytes: int
    first: int | None = None
    last: int = -1


@dataclass
class _Reader:
    planned: tvm.IRModule
    tensors: list[FrameTensor] = field(default_factory=list)
    #: Of tensors in the arena, by their numbers: the memory that they, and views of them, lie in.
    memories: dict[int, _Memory] = field(default_factory=dict)
    calls: list[FrameCall] = field(default_factory=list)
    weights: bytearray = field(default_factory=bytearray)
    constants: dict[tuple[bytes, str, tuple[int, ...]], int] = field(default_factory=dict)
    known: dict[relax.Var, tuple[int, ...]] = field(default_factory=dict)

    def read(self, function: relax.Function) -> FramePlan:
        for number, param in enumerate(function.params):
            shape, dtype = _kind(param.ty)
            self.known[param] = (self._add(FrameTensor("input", number, shape, dtype)),)
        inputs = tuple(self.tensors)
        (block,) = function.body.blocks
        for binding in block.bindings:
            if isinstance(binding.value, relax.Call):
                self.known[binding.var] = self._call(binding.value)
            else:
                self.known[binding.var] = self._value(binding.value)
        results = self._value(function.body.body)
        outputs, copies = self._place_outputs(results)
        arena_bytes = self._place_memories()
        return FramePlan(
            tuple(self.tensors),
            tuple(self.calls),
            bytes(self.weights),
            arena_bytes,
            inputs,
            outputs,
            copies,
        )

    def _add(self, tensor: FrameTensor) -> int:
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def _value(self, value: relax.Expr) -> tuple[int, ...]:
        """Numbers of the tensors that ``value``, which computes nothing, stands for."""
        if isinstance(value, relax.Var):
            return self.known[value]
        if isinstance(value, relax.Tuple):
            return tuple(number for part in value.fields for number in self._value(part))
        if isinstance(value, relax.TupleGetItem):
            return (self._value(value.tuple_value)[value.index],)
        if isinstance(value, tvm.ir.GenericConst):
            return (self._constant(value),)
        raise GraphError(f"the plan holds {type(value).__name__}, which no standalone form takes")

    def _constant(self, constant: tvm.ir.GenericConst) -> int:
        array = constant.value.numpy()
        key = array.tobytes(), str(array.dtype), tuple(array.shape)
        if key not in self.constants:
            self.weights.extend(bytes(-len(self.weights) % ALIGNMENT))
            tensor = FrameTensor("weights", len(self.weights), key[2], key[1])
            self.weights.extend(key[0])
            self.constants[key] = self._add(tensor)
        return self.constants[key]

    def _call(self, call: relax.Call) -> tuple[int, ...]:
        name = op_name(call)
        if name == "memory.alloc_storage":
            return ()
        if name == "memory.alloc_tensor":
            shape, dtype = _kind(call.ty)
            number = self._add(FrameTensor("arena", 0, shape, dtype))
            self.memories[number] = _Memory(bytes_of(shape, dtype))
            return (number,)
        if name == "reshape":
            (source,) = self._value(call.args[0])
            shape, dtype = _kind(call.ty)
            number = self._add(replace(self.tensors[source], shape=shape, dtype=dtype))
            if source in self.memories:
                self.memories[number] = self.memories[source]
            return (number,)
        is_kernel = isinstance(call.op, tvm.ir.GlobalVar)
        if not is_kernel or not isinstance(self.planned[call.op], tirx.PrimFunc):
            raise GraphError(f"the plan calls {name or call.op}, which no standalone form takes")
        numbers = tuple(number for argument in call.args for number in self._value(argument))
        results = 0
        for memory in (self.memories[number] for number in numbers if number in self.memories):
            if memory.first is None:
                # What nothing has used before can only be written to.
                memory.first = len(self.calls)
                results += 1
            memory.last = len(self.calls)
        nodes = tuple(mark.node for mark in marks_of(call) if mark.node >= 0)
        self.calls.append(FrameCall(call.op.name_hint, layers_of(call), numbers, results, nodes))
        return ()

    def _place_outputs(
        self, results: tuple[int, ...]
    ) -> tuple[tuple[FrameTensor, ...], tuple[tuple[int, int], ...]]:
        """Let kernels write results where the caller wants them; inputs, constants and what is a
        result twice are copied there."""
        outputs, copies = [], []
        for output, number in enumerate(results):
            memory, found = self.memories.get(number), self.tensors[number]
            outputs.append(FrameTensor("output", output, found.shape, found.dtype))
            if memory is None:
                copies.append((number, output))
                continue
            for other in [key for key, own in self.memories.items() if own is memory]:
                self.tensors[other] = replace(self.tensors[other], place="output", offset=output)
                del self.memories[other]
        return tuple(outputs), tuple(copies)

    def _place_memories(self) -> int:
        memories = list({id(memory): memory for memory in self.memories.values()}.values())
        places = assign_offsets(
            [(memory.bytes, memory.first or 0, memory.last) for memory in memories]
        )
        offsets = {id(memory): offset for memory, offset in zip(memories, places, strict=True)}
        for number, memory in self.memories.items():
            self.tensors[number] = replace(self.tensors[number], offset=offsets[id(memory)])
        return max(
            (offset + memory.bytes for memory, offset in zip(memories, places, strict=True)),
            default=0,
        )


def assign_offsets(lifetimes: Sequence[tuple[int, int, int]]) -> list[int]:
    """Find the place of each tensor in one block of memory.

    "Greedy by size" for offsets: the largest tensor first, each in the lowest gap between those
    that live at the same time (Pisarchyk and Lee, "Efficient Memory Management for Deep Neural Net
    Inference", 2020, section 5.2).

    Args:
        lifetimes: (bytes, first, last) of each.
    """
    offsets = [0] * len(lifetimes)
    placed: list[int] = []
    for index in sorted(range(len(lifetimes)), key=lambda i: -lifetimes[i][0]):
        size, first, last = lifetimes[index]
        at = 0
        for other in sorted(placed, key=lambda i: offsets[i]):
            other_size, other_first, other_last = lifetimes[other]
            if other_last < first or last < other_first:
                continue
            if at + size <= offsets[other]:
                break
            end = offsets[other] + other_size
            at = max(at, end + -end % ALIGNMENT)
        offsets[index] = at
        placed.append(index)
    return offsets


def _kind(kind: relax.TensorType) -> tuple[tuple[int, ...], str]:
    return tuple(int(extent) for extent in kind.shape), str(kind.dtype)
