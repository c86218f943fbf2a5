from __future__ import annotations

import pytest
from tvm import relax

from compile.graph.quantized_graph import NotLowerable, quantization_of


@pytest.mark.parametrize("known", ["scale", "zero_point"])
def test_parameters_that_are_no_constants(known: str) -> None:
    data = relax.Var("data", relax.TensorType((1, 2, 2, 3), "float32"))
    scale = relax.Var("scale", relax.TensorType((), "float32"))
    zero_point = relax.Var("zero_point", relax.TensorType((), "int8"))
    if known == "scale":
        scale = relax.const(0.5, "float32")
    else:
        zero_point = relax.const(3, "int8")
    call = relax.op.quantize(data, scale, zero_point, axis=-1, out_dtype="int8")
    with pytest.raises(NotLowerable, match="constant parameters"):
        quantization_of(call, {})
