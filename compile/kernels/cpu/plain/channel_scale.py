"""Channel attention's multiplication inside of the kernel that reads the product.

Every product is the int8 number that :func:`compile.kernels.cpu.plain.elementwise.create_multiply`
computes, so the result is the same; what is saved is to write the products and to read them again.
"""

from __future__ import annotations

from tvm import te, tirx

from compile.kernels.cpu.plain.elementwise import requantized_product


class ChannelScale:
    """What the channels of a feature map are multiplied by.

    Attributes:
        operands: placeholders int8 [1,1,1,channels], float32[1] and int32[5], as
            :func:`compile.kernels.cpu.plain.elementwise.create_multiply` takes them behind the
            feature map.
    """

    def __init__(self, channels: int) -> None:
        self.operands = [
            te.placeholder((1, 1, 1, channels), "int8", name="gate"),
            te.placeholder((1,), "float32", name="multiplier"),
            te.placeholder((5,), "int32", name="quant"),
        ]

    def apply(self, value: tirx.Expr, channel: tirx.Expr) -> tirx.Expr:
        """int8: the feature map's int8 ``value`` times its channel's scale."""
        scale, multiplier, quant = self.operands
        return requantized_product(value, scale[0, 0, 0, channel], multiplier, quant)
