"""Tensor intrinsics of a dot product instruction: a description that can be run, and the code.

Two forms serve all convolutions. Dense ones multiply a tile of pixels by vectors of weights: each
load of a group of data or of a vector of weights serves many instructions, and which is loaded
when decides what stays in registers, so the whole tile is one intrinsic. Depthwise ones multiply
vector by vector, words by weights; a third form makes the words.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass
from functools import cache

from tvm import tirx
from tvm.s_tir import TensorIntrin
from tvm.script import tirx as T

from compile.kernels.common import tir_script
from compile.kernels.cpu.instructions.dot_product import DotProduct


@dataclass(frozen=True)
class DotTile:
    """A tile of accumulators and the data of one step of its reduction.

    Attributes:
        pixels, vectors, lanes: of the accumulators.
        steps: groups of each pixel's data.
        stride: columns of the data from pixel to pixel.
        data_dtype: the instruction's type, or int8 where that will do.
    """

    pixels: int
    vectors: int
    lanes: int
    steps: int
    stride: int
    data_dtype: str


def tile_intrinsic(dot: DotProduct, tile: DotTile) -> str:
    """Name of the intrinsic ``C[p, n] += A[p * stride, :] . B[n, :]``, registered."""
    name = "_".join(str(value) for value in (dot.name, *astuple(tile)))
    return registered(f"mqnet.{name}", lambda: tile_pair(dot, tile))


def lanewise_intrinsic(dot: DotProduct, lanes: int) -> str:
    """Name of the intrinsic ``C[l] += A[l, :] . B[l, :]``, registered."""
    return registered(f"mqnet.{dot.name}_{lanes}", lambda: lanewise_pair(dot, lanes))


def word_intrinsic(dot: DotProduct, rows: int, channels: int) -> str:
    """Name of the intrinsic ``W[c] = word of A[:, c]`` for up to four rows, registered."""
    return registered(
        f"mqnet.{dot.name}_word_{rows}x{channels}", lambda: word_pair(dot, rows, channels)
    )


@cache
def tile_pair(dot: DotProduct, tile: DotTile) -> tuple[tirx.PrimFunc, tirx.PrimFunc]:
    """Description and implementation of :func:`tile_intrinsic`: (A data [columns,steps*group],
    B weights [vectors,1,1,steps,lanes,group], C int32 [pixels,vectors*lanes], in and out)."""
    pixels, vectors, lanes, steps, stride, data_dtype = astuple(tile)
    group, weight_dtype, product = dot.group, dot.weight_dtype, dot.product
    columns, channels = (pixels - 1) * stride + 1, vectors * lanes
    data_shape, result_shape = (columns, steps * group), (pixels, channels)
    weights = _TileWeights(dot, tile)

    if pixels == 1:
        # Blocks lose axes of one iteration before they are compared.

        @tir_script.prim_func(s_tir=True)
        def description(a: T.handle, b: T.handle, c: T.handle) -> None:
            data_stride, weight_stride, result_stride = T.int32(), T.int32(), T.int32()
            row_stride, column_stride, step_stride = T.int32(), T.int32(), T.int32()
            A = T.match_buffer(a, data_shape, data_dtype, strides=[data_stride, 1], offset_factor=1)
            B = T.match_buffer(
                b,
                weights.shape,
                weight_dtype,
                strides=weights.strides(weight_stride, row_stride, column_stride, step_stride),
                offset_factor=1,
            )
            C = T.match_buffer(
                c, result_shape, "int32", strides=[result_stride, 1], offset_factor=1
            )
            with T.sblock("root"):
                T.reads(
                    C[0, 0:channels],
                    A[0, 0 : steps * group],
                    B[weights.all],
                )
                T.writes(C[0, 0:channels])
                for n, k in T.grid(channels, steps * group):
                    with T.sblock("update"):
                        vn, vk = T.axis.remap("SR", [n, k])
                        C[0, vn] = C[0, vn] + product(
                            A[0, vk],
                            B[weights.index(vn, vk)],
                            data_dtype,
                        )

    else:

        @tir_script.prim_func(s_tir=True)
        def description(a: T.handle, b: T.handle, c: T.handle) -> None:
            data_stride, weight_stride, result_stride = T.int32(), T.int32(), T.int32()
            row_stride, column_stride, step_stride = T.int32(), T.int32(), T.int32()
            A = T.match_buffer(a, data_shape, data_dtype, strides=[data_stride, 1], offset_factor=1)
            B = T.match_buffer(
                b,
                weights.shape,
                weight_dtype,
                strides=weights.strides(weight_stride, row_stride, column_stride, step_stride),
                offset_factor=1,
            )
            C = T.match_buffer(
                c, result_shape, "int32", strides=[result_stride, 1], offset_factor=1
            )
            with T.sblock("root"):
                T.reads(
                    C[0:pixels, 0:channels],
                    A[0:columns, 0 : steps * group],
                    B[weights.all],
                )
                T.writes(C[0:pixels, 0:channels])
                for pixel, n, k in T.grid(pixels, channels, steps * group):
                    with T.sblock("update"):
                        vp, vn, vk = T.axis.remap("SSR", [pixel, n, k])
                        C[vp, vn] = C[vp, vn] + product(
                            A[vp * stride, vk],
                            B[weights.index(vn, vk)],
                            data_dtype,
                        )

    def total(
        A: tirx.Buffer, B: tirx.Buffer, C: tirx.Buffer, vector: tirx.Expr, pixel: tirx.Expr
    ) -> tirx.Expr:
        # One load for all steps: the instruction may take any group out of a register.
        data = A.vload([pixel * stride, 0], f"{data_dtype}x{steps * group}")
        groups = T.reinterpret(data, dtype=f"int32x{steps}" if steps > 1 else "int32")
        accumulator = C.vload([pixel, vector * lanes], f"int32x{lanes}")
        words, one_step = [], []
        for step in range(steps):
            one = tirx.Shuffle([groups], [step]) if steps > 1 else groups
            if data_dtype == "int8":
                # Before it is broadcast: LLVM 22 loops forever over the other order.
                one = dot.shifted(one)
            words.append(T.broadcast(one, lanes))
            one_step.append(B.vload(weights.first(vector, step), f"{weight_dtype}x{lanes * group}"))
        return dot.emit(accumulator, words, one_step, lanes)

    def accumulate_by_steps(A: tirx.Buffer, B: tirx.Buffer, C: tirx.Buffer) -> None:
        assert dot.steps_together is not None and dot.spread is not None
        for first in range(0, steps, dot.steps_together):
            count = min(dot.steps_together, steps - first)
            words = []
            for pixel in range(pixels):
                data = A.vload([pixel * stride, 0], f"{data_dtype}x{steps * group}")
                words.append(dot.spread(data, first, count))
            for vector in range(vectors):
                members = f"{weight_dtype}x{lanes * group * count}"
                vectors_weights = B.vload(weights.first(vector, first), members)
                for pixel in range(pixels):
                    accumulator = C.vload([pixel, vector * lanes], f"int32x{lanes}")
                    value = dot.emit(accumulator, [words[pixel]], [vectors_weights], lanes)
                    T.buffer_store(C, value, [pixel, T.ramp(vector * lanes, 1, lanes)])

    def accumulate(A: tirx.Buffer, B: tirx.Buffer, C: tirx.Buffer) -> None:
        if dot.steps_together is not None:
            accumulate_by_steps(A, B, C)
            return
        by_pixel = dot.keeps_weights and vectors <= pixels
        outside, inside = (pixels, vectors) if by_pixel else (vectors, pixels)
        with T.unroll(outside) as first, T.unroll(inside) as second:
            pixel, vector = (first, second) if by_pixel else (second, first)
            value = total(A, B, C, vector, pixel)
            T.buffer_store(C, value, [pixel, T.ramp(vector * lanes, 1, lanes)])

    @tir_script.prim_func(s_tir=True)
    def implementation(a: T.handle, b: T.handle, c: T.handle) -> None:
        data_stride, weight_stride, result_stride = T.int32(), T.int32(), T.int32()
        row_stride, column_stride, step_stride = T.int32(), T.int32(), T.int32()
        A = T.match_buffer(a, data_shape, data_dtype, strides=[data_stride, 1], offset_factor=1)
        B = T.match_buffer(
            b,
            weights.shape,
            weight_dtype,
            strides=weights.strides(weight_stride, row_stride, column_stride, step_stride),
            offset_factor=1,
        )
        C = T.match_buffer(c, result_shape, "int32", strides=[result_stride, 1], offset_factor=1)
        with T.sblock("root"):
            T.reads(
                C[0:pixels, 0:channels],
                A[0:columns, 0 : steps * group],
                B[weights.all],
            )
            T.writes(C[0:pixels, 0:channels])
            accumulate(A, B, C)

    return description, implementation


class _TileWeights:
    """The weights of a tile in one of the two layouts of
    :mod:`compile.kernels.cpu.int8.packed_weight`."""

    def __init__(self, dot: DotProduct, tile: DotTile) -> None:
        self._lanes, self._group, self._beside = tile.lanes, dot.group, 0
        self.shape: tuple[int, ...] = (tile.vectors, 1, 1, tile.steps, tile.lanes, dot.group)
        if dot.weights_by_step:
            assert dot.steps_together is not None
            self._beside = min(dot.steps_together, tile.steps)
            outer = 1, 1, tile.steps // self._beside
            self.shape = (*outer, tile.vectors, self._beside, tile.lanes, dot.group)

    @property
    def all(self) -> tuple[int | slice, ...]:
        """Every one of them. Axes of one iteration have an index."""
        return tuple(slice(0, extent) for extent in self.shape)

    def strides(
        self, vector: tirx.Expr, row: tirx.Expr, column: tirx.Expr, step: tirx.Expr
    ) -> list[tirx.Expr | int]:
        """Of the axes; the last three lie as they are."""
        outer = [row, column, step, vector] if self._beside else [vector, row, column]
        return [*outer, self._lanes * self._group, self._group, 1]

    def index(self, n: tirx.Expr, k: tirx.Expr) -> tuple[tirx.Expr | int, ...]:
        """Of the weight of output channel ``n`` and input channel ``k``."""
        vector, lane, group, member = (
            n // self._lanes,
            n % self._lanes,
            k // self._group,
            k % self._group,
        )
        if not self._beside:
            return vector, 0, 0, group, lane, member
        return 0, 0, group // self._beside, vector, group % self._beside, lane, member

    def first(self, vector: tirx.Expr, step: int) -> list[tirx.Expr | int]:
        """Where a vector's weights of a step begin."""
        if not self._beside:
            return [vector, 0, 0, step, 0, 0]
        return [0, 0, step // self._beside, vector, step % self._beside, 0, 0]


@cache
def lanewise_pair(dot: DotProduct, lanes: int) -> tuple[tirx.PrimFunc, tirx.PrimFunc]:
    """Description and implementation of :func:`lanewise_intrinsic`: (A int32 [lanes], a word of the
    group in each, shift included, B weights [lanes,group], C int32 [lanes], in and out)."""
    group, data_dtype, weight_dtype = dot.group, dot.data_dtype, dot.weight_dtype
    product, member = dot.product, dot.member

    @tir_script.prim_func(s_tir=True)
    def description(
        A: T.Buffer((lanes,), "int32", offset_factor=1),
        B: T.Buffer((lanes, group), weight_dtype, offset_factor=1),
        C: T.Buffer((lanes,), "int32", offset_factor=1),
    ) -> None:
        with T.sblock("root"):
            T.reads(C[0:lanes], A[0:lanes], B[0:lanes, 0:group])
            T.writes(C[0:lanes])
            for lane, g in T.grid(lanes, group):
                with T.sblock("update"):
                    vl, vg = T.axis.remap("SR", [lane, g])
                    C[vl] = C[vl] + product(member(A[vl], vg), B[vl, vg], data_dtype)

    def total(A: tirx.Buffer, B: tirx.Buffer, C: tirx.Buffer) -> tirx.Expr:
        words, accumulator = (buffer.vload([0], f"int32x{lanes}") for buffer in (A, C))
        weights = B.vload([0, 0], f"{weight_dtype}x{lanes * group}")
        return dot.emit(accumulator, [words], [weights], lanes)

    @tir_script.prim_func(s_tir=True)
    def implementation(
        A: T.Buffer((lanes,), "int32", offset_factor=1),
        B: T.Buffer((lanes, group), weight_dtype, offset_factor=1),
        C: T.Buffer((lanes,), "int32", offset_factor=1),
    ) -> None:
        with T.sblock("root"):
            T.reads(C[0:lanes], A[0:lanes], B[0:lanes, 0:group])
            T.writes(C[0:lanes])
            C[T.ramp(0, 1, lanes)] = total(A, B, C)

    return description, implementation


@cache
def word_pair(dot: DotProduct, rows: int, channels: int) -> tuple[tirx.PrimFunc, tirx.PrimFunc]:
    """Description and implementation of :func:`word_intrinsic` for an instruction of bytes: (A int8
    [rows,1,channels], W int32 [channels])."""
    word, bytes_of = dot.word, f"int8x{channels}"

    @tir_script.prim_func(s_tir=True)
    def description(a: T.handle, w: T.handle) -> None:
        row_stride, column_stride = T.int32(), T.int32()
        A = T.match_buffer(
            a, (rows, 1, channels), "int8", strides=[row_stride, column_stride, 1], offset_factor=1
        )
        W = T.match_buffer(w, (channels,), "int32", offset_factor=1)
        with T.sblock("root"):
            T.reads(A[0:rows, 0, 0:channels])
            T.writes(W[0:channels])
            for c in T.serial(channels):
                with T.sblock("word"):
                    vc = T.axis.spatial(channels, c)
                    W[vc] = word([A[row, 0, vc] for row in range(rows)])

    def interleaved(A: tirx.Buffer) -> tirx.Expr:
        loads = [A.vload([row, 0, 0], bytes_of) for row in range(rows)]
        loads += [T.broadcast(T.int8(0), channels)] * (dot.group - rows)
        # In two steps, bytes and then pairs of them: that is what processors have instructions for.
        low, high = (
            T.reinterpret(_zip(loads[i], loads[i + 1], channels), dtype=f"int16x{channels}")
            for i in (0, 2)
        )
        return T.reinterpret(_zip(low, high, channels), dtype=f"int32x{channels}")

    @tir_script.prim_func(s_tir=True)
    def implementation(a: T.handle, w: T.handle) -> None:
        row_stride, column_stride = T.int32(), T.int32()
        A = T.match_buffer(
            a, (rows, 1, channels), "int8", strides=[row_stride, column_stride, 1], offset_factor=1
        )
        W = T.match_buffer(w, (channels,), "int32", offset_factor=1)
        with T.sblock("root"):
            T.reads(A[0:rows, 0, 0:channels])
            T.writes(W[0:channels])
            W[T.ramp(0, 1, channels)] = interleaved(A)

    return description, implementation


def _zip(first: tirx.Expr, second: tirx.Expr, lanes: int) -> tirx.Expr:
    """The lanes of two vectors in turns."""
    order = [lane + which * lanes for lane in range(lanes) for which in (0, 1)]
    return tirx.Shuffle([first, second], order)


def registered(name: str, pair: Callable[[], tuple[tirx.PrimFunc, tirx.PrimFunc]]) -> str:
    """``name``, under which TVM knows the (description, implementation) that ``pair`` makes."""
    if TensorIntrin.get(name, allow_missing=True) is None:
        TensorIntrin.register(name, *pair())
    return name
