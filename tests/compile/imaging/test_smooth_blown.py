"""Blown areas are smoothed, and nothing else is."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from compile.imaging.bundled import bundled_photos
from compile.imaging.decode_picture import smooth_picture
from compile.imaging.read_photo import read_photo
from compile.imaging.smooth_blown import smooth_blown
from compile.imaging.transfer import srgb_decode
from tests.support.encode_hdr import encode_hdr


def squares(shape: tuple[int, int], side: int = 4) -> NDArray[np.float32]:
    """An output of random squares, [H,W,3]."""
    random = np.random.default_rng(0)
    height, width = (-(-extent // side) for extent in shape)
    small = random.uniform(0.5, 0.8, (height, width, 3)).astype(np.float32)
    return small.repeat(side, 0).repeat(side, 1)[: shape[0], : shape[1]].copy()


def blown_disc(shape: tuple[int, int], radius: float) -> NDArray[np.uint8]:
    """A white disc with a soft edge on what is dark and has detail."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    distance = np.hypot(rows - shape[0] / 2, columns - shape[1] / 2)
    disc = np.clip((radius - distance) / 3, 0, 1)[..., None]
    ground = np.random.default_rng(1).integers(0, 120, (*shape, 3))
    return np.rint(255 * disc + ground * (1 - disc)).astype(np.uint8)


def expected(output: NDArray[np.float32], frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The same by PyTorch, whose pooling and interpolation are not ours; of multiples of 4."""
    h = torch.from_numpy(output).permute(2, 0, 1)[None]
    plain = torch.from_numpy(encode_hdr(srgb_decode(frame / 255))).permute(2, 0, 1)[None]
    darkest = torch.from_numpy(frame.min(-1).astype(np.float32))[None, None]
    weight = F.avg_pool2d(((darkest - 235) / 15).clamp(0, 1), 4)
    eroded = -F.max_pool2d(-F.pad(weight, (1, 1, 1, 1), mode="replicate"), 3, 1)
    weight = F.max_pool2d(F.pad(eroded, (1, 1, 1, 1), mode="replicate"), 3, 1)
    share = between(weight)
    smooth = between(F.avg_pool2d(h - plain, 4)) + plain
    return (h + share * (smooth - h))[0].permute(1, 2, 0).numpy()


def between(values: torch.Tensor) -> torch.Tensor:
    """Weighted with the neighbours, then interpolated."""
    channels = values.shape[1]
    weights = torch.tensor([1.0, 2, 1])
    kernel = (weights[:, None] * weights / 16).expand(channels, 1, 3, 3)
    padded = F.pad(values, (1, 1, 1, 1), mode="replicate")
    return F.interpolate(
        F.conv2d(padded, kernel, groups=channels), scale_factor=4.0, mode="bilinear"
    )


@pytest.mark.parametrize("shape", [(92, 116), (300, 420)])
def test_the_same_by_pytorch(shape: tuple[int, int]) -> None:
    output, frame = squares(shape), blown_disc(shape, 0.4 * min(shape))
    wanted = expected(output, frame)
    smooth_blown(output, frame)
    np.testing.assert_allclose(output, wanted, atol=1e-6)


def test_no_square_is_left_in_a_blown_area() -> None:
    output = squares((200, 263))
    frame = np.full((200, 263, 3), 255, np.uint8)
    steps_before = np.abs(np.diff(output, axis=1)).max()
    smooth_blown(output, frame)
    # A step of one pixel between two squares is spread over the four between their middles.
    assert np.abs(np.diff(output, axis=1)).max() < steps_before / 4
    assert np.abs(np.diff(output, axis=0)).max() < steps_before / 4


def test_elsewhere_nothing_changes() -> None:
    shape = (181, 243)
    output, frame = squares(shape), blown_disc(shape, 30)
    before = output.copy()
    smooth_blown(output, frame)
    changed = (output != before).any(-1)
    near = F.max_pool2d(torch.from_numpy(frame.min(-1) > 235).float()[None], 33, 1, 16)[0].numpy()
    assert changed.any()
    assert not (changed & (near == 0)).any()


def test_specks_are_left() -> None:
    output = squares((64, 64))
    frame = np.random.default_rng(2).integers(0, 200, (64, 64, 3)).astype(np.uint8)
    frame[20:27, 9:60] = 255
    before = output.copy()
    smooth_blown(output, frame)
    np.testing.assert_array_equal(output, before)


def test_a_smooth_output_stays_as_it_is() -> None:
    rows, columns = np.mgrid[:160, :224].astype(np.float32)
    output = (0.5 + 1e-3 * rows + 5e-4 * columns)[..., None].repeat(3, 2)
    frame = np.full((160, 224, 3), 255, np.uint8)
    before = output.copy()
    smooth_blown(output, frame)
    np.testing.assert_allclose(output[8:-8, 8:-8], before[8:-8, 8:-8], atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (3, 9), (5, 130), (131, 7)])
def test_small_and_odd_sizes(shape: tuple[int, int]) -> None:
    output = squares(shape)
    smooth_blown(output, np.full((*shape, 3), 255, np.uint8))
    assert np.isfinite(output).all()
    assert output.min() >= 0.49
    assert output.max() <= 0.81


def test_detail_of_a_photograph_stays() -> None:
    """A network that inverts sRGB is left as it is: all detail is the photograph's own."""
    frame = read_photo(bundled_photos("demo")[0])
    output = encode_hdr(srgb_decode(frame / 255))
    before = output.copy()
    smooth_blown(output, frame)
    np.testing.assert_allclose(output, before, atol=1e-6)


def test_of_mqnet_alone() -> None:
    frame, output = np.full((64, 64, 3), 255, np.uint8), squares((64, 64))
    before = output.copy()
    smooth_picture("linear", output, frame)
    np.testing.assert_array_equal(output, before)
    smooth_picture("extended_srgb", output, frame)
    assert (output != before).any()
