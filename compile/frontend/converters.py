"""Every converter of ours: what TVM's importer lacks, or does otherwise than the kernels need."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compile.frontend.activations import ACTIVATION_OPS
from compile.frontend.convolution import CONVOLUTION
from compile.frontend.mended_ops import MENDED_OPS
from compile.frontend.missing_ops import MISSING_OPS
from compile.frontend.norms import NORMS
from compile.frontend.pooling import POOLING
from compile.frontend.quantized_ops import QUANTIZED_OPS
from compile.frontend.rearranging import REARRANGING
from compile.frontend.resize import RESIZE

#: By the operator's name, as ``from_exported_program(custom_convert_map=...)`` asks for.
CONVERTERS: dict[str, Callable[..., Any]] = {
    **QUANTIZED_OPS,
    **CONVOLUTION,
    **NORMS,
    **MENDED_OPS,
    **MISSING_OPS,
    **POOLING,
    **ACTIVATION_OPS,
    **REARRANGING,
    **RESIZE,
}
