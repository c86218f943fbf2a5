"""PyTorch's operations that change between int8 and float: PT2E's form of a quantized network."""

from __future__ import annotations

import torch

# Importing it is what defines them.
import torch.ao.quantization.fx._decomposed  # noqa: F401

_OPS = torch.ops.quantized_decomposed

QUANTIZE = _OPS.quantize_per_tensor.default
DEQUANTIZE = _OPS.dequantize_per_tensor.default
QUANTIZE_PER_CHANNEL = _OPS.quantize_per_channel.default
DEQUANTIZE_PER_CHANNEL = _OPS.dequantize_per_channel.default
