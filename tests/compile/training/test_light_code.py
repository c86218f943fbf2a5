"""Training computes in the light that everything else decodes, and has a slope where that clips."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from compile.imaging.decode_hdr import decode_hdr, mu_law
from compile.training.light_code import mu_law_of_light, mu_law_of_output


@given(arrays(np.float32, 9, elements=st.floats(0, 16, width=32)))
def test_light_is_encoded_as_everywhere(light: np.ndarray) -> None:
    found = mu_law_of_light(torch.from_numpy(light))
    np.testing.assert_allclose(found, mu_law(light), rtol=1e-6, atol=1e-12)


@given(arrays(np.float32, 9, elements=st.floats(0.5, 0.875, width=32)))
def test_an_output_means_the_light_that_is_decoded(output: np.ndarray) -> None:
    found = mu_law_of_output(torch.from_numpy(output))
    np.testing.assert_allclose(found.clamp(0, 1), mu_law(decode_hdr(output)), atol=3e-6)


@pytest.mark.parametrize("z", [-1.0, -0.1, 0.0, 0.03, 0.04045, 0.5, 1.0, 1.5, 1.95, 2.0])
def test_more_output_is_more_light_everywhere(z: float) -> None:
    output = torch.tensor([z], dtype=torch.float64).sigmoid().requires_grad_()
    mu_law_of_output(output).backward()
    assert output.grad is not None and 0.5 < output.grad < 25


def test_light_below_black_is_odd() -> None:
    output = torch.tensor([-0.03, 0.03]).sigmoid()
    below, above = mu_law_of_output(output)
    torch.testing.assert_close(below, -above, rtol=1e-5, atol=1e-6)
