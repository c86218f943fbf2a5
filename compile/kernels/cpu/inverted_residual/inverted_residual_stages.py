"""What an inverted residual block computes, stage by stage, over blocks of rows: see
:mod:`compile.kernels.cpu.inverted_residual.inverted_residual`.

A stage's first two axes are the block of rows and the block of expanded channels that it belongs
to, so that a schedule can put all stages of one of each into one place, where a few rows by a few
channels are all that exists of the expanded tensor.
"""

from __future__ import annotations

from collections.abc import Callable

from tvm import te, tirx

from compile.kernels.common.conv_epilogue import ConvEpilogue, EpilogueKind, padding_value
from compile.kernels.common.kernel_function import AccumulatorStart
from compile.kernels.cpu.instructions.dot_product import DotProduct
from compile.kernels.cpu.int8.int8_depthwise import column_word, depthwise_shape
from compile.kernels.cpu.int8.int8_loops import DOT_PRODUCT_ATTR, STRIDE_ATTR
from compile.kernels.cpu.int8.packed_weight import packed_at, packed_shape, packed_vectors
from compile.kernels.cpu.inverted_residual.inverted_residual_sizes import InvertedResidual
from compile.kernels.cpu.plain.channel_scale import ChannelScale
from compile.kernels.cpu.plain.elementwise import requantized_sum

#: (row block, row, column, channel) -> number.
_Rows = Callable[[tirx.Expr, tirx.Expr, tirx.Expr, tirx.Expr], tirx.Expr]

_EPILOGUE = ConvEpilogue(EpilogueKind.REQUANTIZE)


class Stages:
    """The tensors of ``block`` by the instruction ``dot``.

    Attributes:
        operands: placeholders in the order in which the kernel takes them: the smaller feature map,
            if there is one, and the data; their weights and the expansion's bias, multiplier and
            quant; weight, bias, multiplier and quant of the depthwise convolution, and of the
            projection; where the data is added, float32[2] and int32[5] as
            :func:`compile.kernels.cpu.plain.elementwise.create_add` takes them, the projection on
            the left; where channels are scaled, the operands of
            :class:`compile.kernels.cpu.plain.channel_scale.ChannelScale`.
        result: int8 [1,OH,OW,O].
        starts: where sums begin at something else than zero.
    """

    def __init__(self, block: InvertedResidual, dot: DotProduct) -> None:
        self._block, self._dot = block, dot
        self._attrs = {DOT_PRODUCT_ATTR: dot.name, STRIDE_ATTR: 1}
        self.starts: list[AccumulatorStart] = []
        size = (1, block.height, block.width)
        self._data = te.placeholder((*size, block.channels_in), "int8", name="data")
        self._weight = self._weights(block.channels_in, block.expanded, "weight")
        feature_maps, weights = [self._data], [self._weight]
        if block.low_channels:
            low_size = (1, block.height // block.factor, block.width // block.factor)
            low = te.placeholder((*low_size, block.low_channels), "int8", name="low")
            self._low_weight = self._weights(block.low_channels, block.expanded, "low_weight")
            feature_maps, weights = [low, self._data], [self._low_weight, self._weight]
        self._expansion = _EPILOGUE.operands(block.expanded, "int32")
        shape = depthwise_shape(block.expanded, block.window.kernel, dot)
        self._depthwise_weight = te.placeholder(shape, dot.weight_dtype, name="depthwise_weight")
        self._depthwise = _EPILOGUE.operands(block.expanded, "int32")
        self._project_weight = self._weights(block.expanded, block.channels_out, "project_weight")
        self._projection = _EPILOGUE.operands(block.channels_out, "int32")
        self.operands = [
            *feature_maps,
            *weights,
            *self._expansion,
            self._depthwise_weight,
            *self._depthwise,
            self._project_weight,
            *self._projection,
        ]
        scale = ChannelScale(int(feature_maps[0].shape[3])) if block.has_channel_scale else None
        self._data_scale = None if block.low_channels else scale
        self._data_rows = self._rows(self._data, 1, block.expanded_rows, self._data_scale)
        if block.low_channels:
            self._low_rows = self._rows(low, block.factor, block.low_rows, scale)
        sums = self._project(self._convolve(self._pad(self._expand())))
        self.result = self._finish(sums)
        self.operands += scale.operands if scale is not None else []

    def _weights(self, channels_in: int, channels_out: int, name: str) -> te.Tensor:
        shape = packed_shape(channels_out, (1, 1), channels_in, self._dot)
        return te.placeholder(shape, self._dot.weight_dtype, name=name)

    def _expand(self) -> te.Tensor:
        """int8 [row blocks,channel blocks,expanded rows,W,channels]; in rows beyond the feature
        map, any numbers."""
        block = self._block
        size = block.expanded_rows, block.width
        low_sum = self._low_sum() if block.low_channels else None
        offset = block.first_row % block.factor

        def low(
            s: tirx.Expr, b: tirx.Expr, r: tirx.Expr, x: tirx.Expr, c: tirx.Expr
        ) -> tuple[tirx.Expr, ...]:
            return s, b, (r + offset) // block.factor, x // block.factor, c

        start = self._start("conv", self._expansion)
        if start is not None and low_sum is not None:
            start = AccumulatorStart("conv", low_sum, low)
        conv = self._pointwise(
            self._data_rows, size, self._weight, block.channels_in, "conv", start
        )
        finish = _EPILOGUE.apply(self._expansion, is_started=start is not None)

        def expanded(*index: tirx.Expr) -> tirx.Expr:
            _, b, *_, c = index
            total = conv[index]
            if start is None and low_sum is not None:
                total = total + low_sum[low(*index)]
            return finish(total, b * block.channel_block + c)

        return te.compute(conv.shape, expanded, name="expand")

    def _low_sum(self) -> te.Tensor:
        """The smaller feature map's part of the expansion, int32, as
        :mod:`compile.kernels.cpu.int8.int8_concat_pointwise` splits it off."""
        block = self._block
        size = block.low_rows, block.width // block.factor
        conv = self._pointwise(
            self._low_rows,
            size,
            self._low_weight,
            block.low_channels,
            "low_conv",
            self._start("low_conv", self._expansion),
        )
        return te.compute(conv.shape, lambda *index: conv[index], name="low_sum")

    def _rows(
        self, feature_map: te.Tensor, factor: int, rows: int, scale: ChannelScale | None
    ) -> _Rows:
        """Those of the ``feature_map``, or of its product with the ``scale``, that a row block
        reads, as the instruction takes them."""
        block = self._block
        _, height, width, channels = (int(extent) for extent in feature_map.shape)
        first, step = block.first_row // factor, block.row_block_step // factor

        def value(s: tirx.Expr, r: tirx.Expr, x: tirx.Expr, k: tirx.Expr) -> tirx.Expr:
            # At the edges of the feature map, row blocks have rows beyond: any number will do.
            row = tirx.max(tirx.min(s * step + r + first, height - 1), 0)
            return feature_map[0, row, x, k]

        if scale is None and self._dot.takes_int8:
            return value

        def operand(*index: tirx.Expr) -> tirx.Expr:
            number = value(*index) if scale is None else scale.apply(value(*index), index[-1])
            return number if self._dot.takes_int8 else self._dot.widened(number)

        made = te.compute(
            (block.row_blocks, rows, width, channels),
            operand,
            name=f"{feature_map.op.name}_operand",
        )
        return lambda *index: made[index]

    def _start(self, name: str, operands: list[te.Tensor]) -> AccumulatorStart | None:
        """Where the sums of the block ``name`` begin, which has such ``operands`` for its epilogue;
        None for zero."""
        bias = _EPILOGUE.start(operands)
        if bias is None or not self._dot.starts_at_bias:
            return None
        channels = self._block.channel_block
        return AccumulatorStart(name, bias, lambda s, b, r, x, c: (b * channels + c,))

    def _pointwise(
        self,
        data: _Rows,
        size: tuple[int, int],
        weight: te.Tensor,
        channels: int,
        name: str,
        start: AccumulatorStart | None,
    ) -> te.Tensor:
        """int32 [row blocks,channel blocks,rows,columns,channels], (rows, columns) being the
        ``size``; the sums begin at ``start``."""
        block, dot = self._block, self._dot
        self.starts += [start] if start is not None else []
        lanes = int(weight.shape[-2])
        k = te.reduce_axis((0, channels), name="k")

        def multiply(
            s: tirx.Expr, b: tirx.Expr, r: tirx.Expr, x: tirx.Expr, n: tirx.Expr
        ) -> tirx.Expr:
            vector = b * (block.channel_block // lanes) + n // lanes
            by = packed_at(weight, dot, (vector, n % lanes), (0, 0), k)
            init = None if start is None else start.value(s, b, r, x, n)
            return te.sum(dot.product(data(s, r, x, k), by, dot.operand_dtype), axis=k, init=init)

        shape = (block.row_blocks, block.channel_blocks, *size, block.channel_block)
        return te.compute(shape, multiply, name=name, attrs=self._attrs)

    def _pad(self, expanded: te.Tensor) -> te.Tensor:
        """The bytes of [row blocks,channel blocks,window rows,padded columns,channels], with what
        the instruction adds to them."""
        block = self._block
        top, left, _, _ = block.window.padding
        outside = padding_value("int8", self._depthwise)
        offset = top + block.first_row

        def padded(
            s: tirx.Expr, b: tirx.Expr, r: tirx.Expr, x: tirx.Expr, c: tirx.Expr
        ) -> tirx.Expr:
            y = s * block.row_block_step + r
            is_inside = tirx.all(
                y >= top, y < block.height + top, x >= left, x < block.width + left
            )
            value = expanded[s, b, r - offset, x - left, c]
            value = tirx.if_then_else(is_inside, value, outside)
            return self._dot.shifted_byte(value)

        shape = (
            block.row_blocks,
            block.channel_blocks,
            block.window_rows,
            block.padded_columns,
            block.channel_block,
        )
        return te.compute(shape, padded, name="pad")

    def _convolve(self, padded: te.Tensor) -> te.Tensor:
        """[row blocks,channel blocks,rows,OW,channels] in the instruction's type: what the
        projection takes."""
        block, dot = self._block, self._dot
        start = self._start("depthwise_conv", self._depthwise)
        self.starts += [start] if start is not None else []
        multiply = (self._by_words if dot.taps is None else self._by_taps)(padded, start)
        rows, columns = block.row_block, block.output_size[1]
        shape = (block.row_blocks, block.channel_blocks, rows, columns, block.channel_block)
        attrs = {**self._attrs, STRIDE_ATTR: block.window.stride[1]}
        conv = te.compute(shape, multiply, name="depthwise_conv", attrs=attrs)
        finish = _EPILOGUE.apply(self._depthwise, is_started=start is not None)
        return te.compute(
            shape,
            lambda s, b, r, x, c: dot.widened(
                finish(conv[s, b, r, x, c], b * block.channel_block + c)
            ),
            name="depthwise",
        )

    def _by_taps(
        self, padded: te.Tensor, start: AccumulatorStart | None
    ) -> Callable[..., tirx.Expr]:
        """(row block, channel block, row, column, channel) -> the sum over a window of ``padded``,
        by an instruction with ``taps``."""
        block, dot = self._block, self._dot
        window, weight = block.window, self._depthwise_weight
        ky = te.reduce_axis((0, window.kernel[0]), name="ky")
        kx = te.reduce_axis((0, window.kernel[1]), name="kx")

        def multiply(*index: tirx.Expr) -> tirx.Expr:
            s, b, r, x, c = index
            value = padded[(s, b, *window.position(r, x, ky, kx), c)]
            by = weight[ky, kx, b * block.channel_block + c]
            init = None if start is None else start.value(s, b, r, x, c)
            return te.sum(dot.product(value, by, "int8"), axis=[ky, kx], init=init)

        return multiply

    def _by_words(
        self, padded: te.Tensor, start: AccumulatorStart | None
    ) -> Callable[..., tirx.Expr]:
        """The same by words that hold a column of the window."""
        block, dot = self._block, self._dot
        window, weight = block.window, self._depthwise_weight
        rows, columns = window.kernel
        # TVM does not move a tensorized block that has an axis of one iteration.
        words = block.words(dot)
        axes = block.row_blocks, block.channel_blocks, words

        def word(*index: tirx.Expr) -> tirx.Expr:
            which = list(index)
            s, b = (which.pop(0) if n > 1 else 0 for n in axes[:2])
            r, x = which[:2]
            w, c = which[2:] if words > 1 else (0, which[2])
            first = r * window.stride[0]
            return column_word(dot, rows, w, lambda row: padded[s, b, first + row, x, c])

        outer, inner = ([n for n in part if n > 1] for part in (axes[:2], axes[2:]))
        shape = (*outer, block.row_block, block.padded_columns, *inner, block.channel_block)
        columns_words = te.compute(shape, word, name="words")
        w = te.reduce_axis((0, words), name="w")
        kx, g = te.reduce_axis((0, columns), name="kx"), te.reduce_axis((0, dot.group), name="g")

        def multiply(
            s: tirx.Expr, b: tirx.Expr, r: tirx.Expr, x: tirx.Expr, c: tirx.Expr
        ) -> tirx.Expr:
            which = (i for i, n in ((s, block.row_blocks), (b, block.channel_blocks)) if n > 1)
            last = (w, c) if words > 1 else (c,)
            value = columns_words[(*which, r, x * window.stride[1] + kx, *last)]
            by = weight[w, kx, b * block.channel_block + c, g]
            product = dot.product(dot.member(value, g), by, dot.data_dtype)
            init = None if start is None else start.value(s, b, r, x, c)
            return te.sum(product, axis=[w, kx, g], init=init)

        return multiply

    def _project(self, data: te.Tensor) -> te.Tensor:
        """int32 [row blocks,rows,OW,O], behind O up to whole vectors: sums over the channel
        blocks."""
        block, dot, weight = self._block, self._dot, self._project_weight
        vectors, lanes = packed_vectors(weight, dot), int(weight.shape[-2])
        columns, groups = block.output_size[1], block.channel_block // dot.group
        k = te.reduce_axis((0, block.channel_block), name="k")

        def multiply(
            s: tirx.Expr, b: tirx.Expr, r: tirx.Expr, x: tirx.Expr, n: tirx.Expr
        ) -> tirx.Expr:
            by = packed_at(weight, dot, (n // lanes, n % lanes), (0, 0), k, b * groups)
            return te.sum(dot.product(data[s, b, r, x, k], by, dot.data_dtype), axis=k)

        shape = (block.row_blocks, block.channel_blocks, block.row_block, columns, vectors * lanes)
        conv = te.compute(shape, multiply, name="project_conv", attrs=self._attrs)
        b = te.reduce_axis((0, block.channel_blocks), name="b")
        return te.compute(
            (block.row_blocks, *shape[2:]),
            lambda s, r, x, n: te.sum(conv[s, b, r, x, n], axis=b),
            name="project_sum",
        )

    def _finish(self, sums: te.Tensor) -> te.Tensor:
        block = self._block
        finish = _EPILOGUE.apply(self._projection)
        if block.adds_data:
            multiplier = te.placeholder((2,), "float32", name="multiplier")
            quant = te.placeholder((5,), "int32", name="quant")
            self.operands += [multiplier, quant]

        def result(_: tirx.Expr, y: tirx.Expr, x: tirx.Expr, n: tirx.Expr) -> tirx.Expr:
            value = finish(sums[y // block.row_block, y % block.row_block, x, n], n)
            if block.adds_data:
                data = self._data[0, y, x, n]
                if self._data_scale is not None:
                    data = self._data_scale.apply(data, n)
                value = requantized_sum(value, data, multiplier, quant)
            return value

        shape = (1, *block.output_size, block.channels_out)
        return te.compute(shape, result, name="epilogue")
