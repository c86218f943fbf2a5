"""Pictures in which nearly nothing varies: no number is lost, and nothing that is not there shows.

InstanceNorm divides by the deviation of a feature map, which is next to nothing in them.
"""

from __future__ import annotations

import numpy as np
import pytest
from fixtures_artefacts import SIZE, ArtefactFactory, ProgramFactory
from float64_program import run_in_float64
from numpy.typing import NDArray

from device.runtime.run_artefact import Session

Photo = NDArray[np.uint8]


def one_colour(*colour: int) -> Photo:
    return np.broadcast_to(np.array(colour, np.uint8), (*SIZE, 3)).copy()


def one_pixel(around: int, pixel: int) -> Photo:
    photo = one_colour(around, around, around)
    photo[SIZE[0] // 2, SIZE[1] // 3] = pixel
    return photo


def checkerboard(side: int) -> Photo:
    y, x = np.mgrid[: SIZE[0], : SIZE[1]] // side
    return np.repeat((((x + y) % 2) * 255).astype(np.uint8)[..., None], 3, axis=2)


PICTURES = {
    "black": one_colour(0, 0, 0),
    "white": one_colour(255, 255, 255),
    "one colour": one_colour(200, 30, 90),
    "bright pixel": one_pixel(0, 255),
    "brighter by one": one_pixel(128, 129),
    "pixels": checkerboard(1),
    "squares": checkerboard(8),
}
"""By name: uint8 [H, W, 3]."""

#: Largest and mean difference from float64: floats round. Integers are the same, ties too.
_FLOAT32, _FLOAT16 = (2e-6, 2e-7), (3e-3, 3e-4)
#: In a picture of one colour a channel is one number everywhere. With these weights one of
#: the backbone's is 17.4999994: float32 takes it for a tie, float64 does not: it is one step off.
_NEAR_TIES = {("mixed", "none"): (5e-5, 4e-7)}


def check(artefact: ArtefactFactory, program: ProgramFactory, case: tuple[str, str, str]) -> None:
    target, scheme, attention = case
    session = Session(artefact(target, scheme, attention))
    reference = program(scheme, attention)
    has_float16 = scheme in ("fp16", "w8a16", "mixed-fp16")
    usual = _FLOAT16 if has_float16 else _FLOAT32
    largest, mean = _NEAR_TIES.get((scheme, attention), usual)
    for name, photo in PICTURES.items():
        found = session.run(photo)[0]
        assert np.isfinite(found).all(), name
        error = np.abs(found - run_in_float64(reference, photo))
        assert error.max() <= largest and error.mean() <= mean, (name, error.max(), error.mean())


@pytest.mark.parametrize("scheme", ["mixed", "fp32", "w8a32", "fp16", "w8a16"])
def test_every_scheme(artefact: ArtefactFactory, quantized_program: ProgramFactory, scheme: str):
    check(artefact, quantized_program, ("host", scheme, "ca"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scheme", "attention"),
    [("mixed", "csa"), ("mixed", "sa"), ("mixed", "none"), ("fp32", "csa"), ("w8a32", "csa")]
    + [("int8", "ca"), ("mixed-fp16", "ca")],
)
def test_every_attention(
    artefact: ArtefactFactory, quantized_program: ProgramFactory, scheme: str, attention: str
):
    check(artefact, quantized_program, ("host", scheme, attention))


@pytest.mark.usefixtures("opencl")
@pytest.mark.parametrize(
    ("scheme", "attention"),
    [
        ("mixed", "ca"),
        ("fp32", "csa"),
        pytest.param("int8", "ca", marks=pytest.mark.slow),
        pytest.param("w8a32", "ca", marks=pytest.mark.slow),
    ],
)
def test_opencl(
    artefact: ArtefactFactory, quantized_program: ProgramFactory, scheme: str, attention: str
) -> None:
    """PoCL has no float16."""
    check(artefact, quantized_program, ("host-opencl", scheme, attention))
