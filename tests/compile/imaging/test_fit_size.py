"""Into the artefact's frame and out again, at sizes that are not round."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compile.imaging.fit_size import fit_photo, padded_size, unfit
from compile.support.errors import PhotoError

sides = st.integers(32, 130)


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * 1000 + width).integers(
        0, 256, (height, width, 3), dtype=np.uint8
    )


def mirrored(index: int, length: int) -> int:
    """Where a pixel beyond the edge is taken from: 0 1 2 1 0 1 2 ..."""
    index %= 2 * (length - 1)
    return min(index, 2 * (length - 1) - index)


@given(height=st.integers(1, 5000), width=st.integers(1, 5000), multiple=st.integers(1, 64))
def test_padded_size(height: int, width: int, multiple: int) -> None:
    for side, padded in zip((height, width), padded_size(height, width, multiple), strict=True):
        assert padded % multiple == 0
        assert side <= padded < side + multiple


@given(height=sides, width=sides, down=st.integers(0, 300), right=st.integers(0, 300))
def test_pad_and_crop_is_the_photo(height: int, width: int, down: int, right: int) -> None:
    photo = noise(height, width)
    frame, placement = fit_photo(photo, height + down, width + right)
    assert frame.shape == (height + down, width + right, 3) and frame.dtype == np.uint8
    assert not placement.resized
    np.testing.assert_array_equal(unfit(frame, placement), photo)
    rows = [mirrored(y, height) for y in range(height + down)]
    columns = [mirrored(x, width) for x in range(width + right)]
    np.testing.assert_array_equal(frame, photo[rows][:, columns])


@given(height=st.integers(32, 400), width=st.integers(32, 400), frame=st.tuples(sides, sides))
def test_resize_fits_inside_and_keeps_the_aspect(
    height: int, width: int, frame: tuple[int, int]
) -> None:
    fitted, placement = fit_photo(noise(height, width), *frame, mode="resize")
    content = unfit(fitted, placement).shape[:2]
    assert fitted.shape[:2] == frame
    upright = min(1, frame[0] / height, frame[1] / width)
    turned = min(1, frame[1] / height, frame[0] / width)
    scale = max(upright, turned)
    assert placement.turned == (turned > upright)
    assert placement.resized == (content != (height, width))
    if scale == 1:
        assert content == (height, width)  # never enlarged
    assert abs(content[0] - height * scale) <= 0.5 + 1e-9
    assert abs(content[1] - width * scale) <= 0.5 + 1e-9


@given(short=sides, long=sides, mode=st.sampled_from(["pad", "resize"]))
def test_a_portrait_lies_on_its_side_in_a_landscape_frame(short: int, long: int, mode: str) -> None:
    """And the other way round; what comes out of the frame is upright again."""
    short, long = sorted((short, long))
    photo = noise(long, short)
    fitted, placement = fit_photo(photo, short, long, mode)
    assert fitted.shape == (short, long, 3)
    assert placement.turned == (long > short) and not placement.resized
    if placement.turned:  # to the left: the top row is the left column, from below
        np.testing.assert_array_equal(fitted[::-1, 0], photo[0])
    np.testing.assert_array_equal(unfit(fitted, placement), photo)
    back, placement = fit_photo(np.rot90(photo), long, short, mode)
    np.testing.assert_array_equal(unfit(back, placement), np.rot90(photo))


def test_a_photo_that_fits_as_it_is_is_not_turned() -> None:
    fitted, placement = fit_photo(noise(90, 60), 96, 96)
    assert not placement.turned
    np.testing.assert_array_equal(fitted[:90, :60], noise(90, 60))


@pytest.mark.parametrize("size", [(257, 257), (100, 334), (334, 100), (993, 661)])
def test_too_large_names_both_sizes_and_the_remedy(size: tuple[int, int]) -> None:
    with pytest.raises(PhotoError, match="--resize") as caught:
        fit_photo(noise(*size), 256, 333)
    assert f"{size[1]}x{size[0]}" in str(caught.value)
    assert "333x256" in str(caught.value)


def test_extreme_aspect_still_has_a_pixel() -> None:
    fitted, placement = fit_photo(noise(32, 4000), 64, 64, mode="resize")
    assert fitted.shape == (64, 64, 3)
    assert (placement.content_height, placement.content_width) == (1, 64)


def test_unfit_takes_results_of_any_depth_and_refuses_other_frames() -> None:
    _, placement = fit_photo(noise(45, 67), 64, 96)
    assert unfit(np.zeros((64, 96, 1), np.float32), placement).shape == (45, 67, 1)
    with pytest.raises(ValueError, match="does not belong"):
        unfit(np.zeros((96, 64, 3), np.float32), placement)
