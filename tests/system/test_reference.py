"""The NumPy reference itself: against PyTorch, which computes the same in float."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lowered_backbones import ATTENTIONS, photo_crop, quantized_program
from reference import ops
from reference.backbone import BackboneRun, run_backbone
from reference.ops import Affine
from torch import fx

from compile.imaging.bundled import bundled_photos

TORCH_QUANTIZE = torch.ops.quantized_decomposed.quantize_per_tensor.default
TORCH_DEQUANTIZE = torch.ops.quantized_decomposed.dequantize_per_tensor.default

scales = st.floats(2**-12, 1.0, width=32).map(np.float32)
zero_points = st.integers(-128, 127)


def torch_quantized(real: torch.Tensor, parameters: Affine) -> np.ndarray:
    scale, zero_point = float(parameters.scale), parameters.zero_point
    return TORCH_QUANTIZE(real, scale, zero_point, -128, 127, torch.int8).numpy()


@given(scales, zero_points, scales, zero_points)
@settings(max_examples=200)
def test_change_of_scale_is_pytorchs_for_all_256_numbers(
    scale: np.float32, zero_point: int, other_scale: np.float32, other_zero_point: int
) -> None:
    numbers = np.arange(-128, 128).astype(np.int8)
    source, target = Affine(scale, zero_point), Affine(other_scale, other_zero_point)
    real = TORCH_DEQUANTIZE(
        torch.from_numpy(numbers), float(scale), zero_point, -128, 127, torch.int8
    )
    np.testing.assert_array_equal(ops.dequantize(numbers, source), real.numpy())
    np.testing.assert_array_equal(ops.quantize(real.numpy(), target), torch_quantized(real, target))


def test_reciprocal_is_not_division() -> None:
    """The rule matters: next to a tie a division and a product with the reciprocal differ."""
    differing = 0
    for scale in np.linspace(0.004, 0.05, 2000, dtype=np.float32):
        halves = (np.arange(0, 120) + np.float32(0.5)) * scale
        divided = np.rint(halves / scale).astype(np.int64)
        differing += int((ops.quantize(halves, Affine(scale, 0)) != divided).sum())
    assert differing > 0


@cache
def pytorch_tensors(attention: str) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A photograph and PyTorch's own int8 tensors for it, NHWC, by node name."""
    image = photo_crop(bundled_photos("test")[0], 64, 96)
    recorder = _Recorder(quantized_program(attention, 64, 96).module())
    recorder.run(torch.from_numpy(image))
    return image, recorder.tensors


class _Recorder(fx.Interpreter):
    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.tensors: dict[str, np.ndarray] = {}

    def run_node(self, n: fx.Node) -> object:
        value = super().run_node(n)
        if n.target is TORCH_QUANTIZE:
            self.tensors[n.name] = value.numpy().transpose(0, 2, 3, 1).copy()
        return value


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_every_tensor_is_pytorchs_but_for_rounding(attention: str) -> None:
    """Each tensor from PyTorch's inputs to it: float32 sums and a float bias move a few ties."""
    image, expected = pytorch_tensors(attention)
    run = run_backbone(quantized_program(attention, 64, 96), image, given=expected)
    assert run.tensors.keys() == expected.keys()
    errors = [np.abs(run.tensors[name].astype(int) - expected[name]).ravel() for name in expected]
    assert [name for name, e in zip(expected, errors, strict=True) if e.max() > 1] == []
    assert np.concatenate(errors).mean() < 0.005


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_tables_and_moved_bytes_are_pytorchs(attention: str) -> None:
    image, expected = pytorch_tensors(attention)
    program = quantized_program(attention, 64, 96)
    run = run_backbone(program, image, given=expected)
    exact = ("div.Tensor", "sub.Tensor", "sigmoid.default", "cat.default", "upsample_nearest2d.vec")
    names = [
        node.name
        for node in program.graph.nodes
        if node.name in run.tensors and node.args[0].target.__name__ in exact
    ]
    assert len(names) >= 12
    for name in names:
        np.testing.assert_array_equal(run.tensors[name], expected[name], err_msg=name)


def test_run_is_chained() -> None:
    """Without given tensors each result is the next one's input, up to the head's convolution."""
    image, expected = pytorch_tensors("ca")
    run: BackboneRun = run_backbone(quantized_program("ca", 64, 96), image)
    (boundary,) = run.boundary
    assert boundary == list(expected)[-1]
    assert run.output.shape == (1, 64, 96, 16) and run.output.dtype == np.int8
    assert np.abs(run.output.astype(int) - expected[boundary]).mean() < 2
