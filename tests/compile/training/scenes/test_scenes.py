"""The catalogue of panoramas, cube maps, and views out of a panorama."""

from __future__ import annotations

import struct
from collections import Counter

import numpy as np
import pytest
from scipy.ndimage import binary_dilation

from compile.support.errors import PhotoError
from compile.training.scenes.catalogue import (
    FLAT_TEST,
    TEST,
    TRAIN,
    VALIDATION,
    RepositoryFile,
    catalogue,
    is_flat,
    role_of,
)
from compile.training.scenes.cube_map import cube_to_equirectangular, read_cube_map
from compile.training.scenes.views import Look, Panorama, Picture, View, random_view


def picture(look: Look) -> np.ndarray:
    """What is seen, [H,W,3]; all of it can be trusted."""
    assert look.trust.all()
    return look.light.permute(1, 2, 0).numpy()


def sphere(height: int) -> np.ndarray:
    """A panorama whose light is its direction: (right, up, ahead), each moved into [0, 1]."""
    latitude = (0.5 - (np.arange(height) + 0.5) / height) * np.pi
    longitude = ((np.arange(2 * height) + 0.5) / height - 1) * np.pi
    up, right = np.meshgrid(latitude, longitude, indexing="ij")
    direction = [np.cos(up) * np.sin(right), np.sin(up), np.cos(up) * np.cos(right)]
    return (np.stack(direction, -1) / 2 + 0.5).astype(np.float32)


def test_scenes_are_on_one_side():
    scenes = catalogue()
    assert len({scene.name for scene in scenes}) == len(scenes) == 126
    roles = Counter(scene.role for scene in scenes)
    assert roles == {TRAIN: 107, VALIDATION: 3, TEST: 6, FLAT_TEST: 10}
    # Two files of the same room.
    assert role_of("studio") == role_of("studio_small") == TRAIN
    assert role_of("my-own-panorama") == TRAIN
    assert is_flat("golden_gate") and not is_flat("city") and not is_flat("my-own-panorama")
    assert {scene.role for scene in scenes if scene.flat} == {TRAIN, FLAT_TEST}
    assert all(scene.flat for scene in scenes if scene.role == FLAT_TEST)
    files = [scene for scene in scenes if isinstance(scene.source, RepositoryFile)]
    assert len(files) == 86 and {len(file.source.exr_sha256) for file in files} == {64}
    licences = {(file.role, file.source.licence) for file in files}
    assert licences == {(TRAIN, "CC0-1.0"), (FLAT_TEST, "BSD-3-Clause")}
    assert all(len(scene.source.sha256) == 64 for scene in scenes)


@pytest.mark.parametrize(
    ("yaw", "pitch", "expected"),
    [
        (0, 0, (0, 0, 1)),
        (90, 0, (1, 0, 0)),
        (180, 0, (0, 0, -1)),
        (-90, 0, (-1, 0, 0)),
        (0, 40, (0, np.sin(np.radians(40)), np.cos(np.radians(40)))),
    ],
)
@pytest.mark.parametrize("roll", [0, 25])
def test_the_middle_of_a_view(yaw: float, pitch: float, roll: float, expected: tuple):
    seen = picture(Panorama(sphere(256)).look(View(yaw, pitch, roll, 60), 33, 33))
    np.testing.assert_allclose(seen[16, 16] * 2 - 1, expected, atol=0.01)


def test_the_edges_of_a_view():
    seen = picture(Panorama(sphere(256)).look(View(0, 0, 0, 90), 64, 64)) * 2 - 1
    right = seen[..., 0] / seen[..., 2]
    up = seen[..., 1] / seen[..., 2]
    ticks = (np.arange(64) - 31.5) / 32
    np.testing.assert_allclose(right, np.broadcast_to(ticks, (64, 64)), atol=0.02)
    np.testing.assert_allclose(up, np.broadcast_to(-ticks[:, None], (64, 64)), atol=0.02)


def test_distant_views_are_averaged_not_sampled():
    """A chessboard of single pixels is grey where a pixel of the view covers many."""
    board = np.indices((256, 512)).sum(0) % 2
    light = np.repeat(board[..., None], 3, -1).astype(np.float32)
    seen = picture(Panorama(light).look(View(0, 0, 0, 90), 32, 32))
    np.testing.assert_allclose(seen, 0.5, atol=0.02)


def test_random_views_are_not_blurred():
    panorama = Panorama(sphere(128))
    random = np.random.default_rng(0)
    for _ in range(100):
        view = random_view(panorama, 64, random)
        pixels_per_degree = 64 / view.field_of_view
        assert pixels_per_degree <= 1.5 * 256 / 360 + 1e-6 or view.field_of_view == 95


def test_squares_of_a_picture():
    """Of a picture whose light is (column, row, 0): upright, inside, not so small as to blur."""
    rows, columns = np.indices((60, 100), np.float32)
    place = Picture(np.stack([columns, rows, 0 * rows], -1))
    random = np.random.default_rng(0)
    scales = []
    for _ in range(50):
        seen = picture(place.random_look(36, random))
        assert seen.shape == (36, 36, 3) and seen.dtype == np.float32
        for axis, channel, length in ((1, 0, 100), (0, 1, 60)):
            assert seen[..., channel].min() >= 0 and seen[..., channel].max() <= length - 1
            # Away from the edges, which a filter sees less of; elsewhere it ripples.
            steps = np.diff(seen[4:-4, 4:-4, channel], axis=axis)
            np.testing.assert_allclose(steps, steps.mean(), rtol=0.15)
        scales.append(steps.mean())
    assert 1 / 1.5 - 0.01 <= min(scales) < 0.8 and 1.5 < max(scales) <= 60 / 36 + 0.01


def test_a_picture_smaller_than_what_is_asked_for_is_enlarged():
    place = Picture(np.full((20, 30, 3), 2, np.float32))
    seen = picture(place.random_look(64, np.random.default_rng(0)))
    assert seen.shape == (64, 64, 3)
    np.testing.assert_allclose(seen, 2, rtol=1e-6)


def test_what_a_ring_was_part_of_is_not_trusted():
    """Ahead there is a grid of lamps, each in a black ring."""
    light = np.full((64, 128, 3), 0.5, np.float32)
    lamps = np.zeros((64, 128), bool)
    lamps[8:56:6, 66:96:6] = True
    rings = binary_dilation(lamps, np.ones((3, 3))) & ~lamps
    light[lamps], light[rings] = 50, 0
    seen = Panorama(light).look(View(0, 0, 0, 120), 64, 64)
    trusted = seen.trust[0] > 0
    assert seen.trust.shape == (1, 64, 64) and seen.trust.sum() == trusted.sum()
    assert trusted[:, :28].all() and not trusted[:, 36:60].all()
    # Of a ring alone, or of one and the wall.
    assert not (trusted & (seen.light[0] < 0.49)).any()


def cube_map(width: int) -> bytes:
    """A KTX file whose six faces have the light 1, 2, 4, 8, 16, 32 in all channels."""
    header = [0x04030201, 0x8C3B, 4, 0x1907, 0x8C3A, 0x1907, width, width, 0, 0, 6, 1, 4]
    words = []
    for face in range(6):
        exponent = 15 + face
        words += [exponent << 6 | exponent << 17 | exponent << 27] * width**2
    pixels = struct.pack(f"<{len(words)}I", *words)
    start = b"\xabKTX 11\xbb\r\n\x1a\n" + struct.pack("<13I", *header)
    return start + b"abcd" + struct.pack("<I", 4 * width**2) + pixels


def test_cube_map_faces_and_where_they_lie():
    faces = read_cube_map(cube_map(8), "a.ktx")
    assert faces.shape == (6, 8, 8, 3)
    assert [float(face.mean()) for face in faces] == [1, 2, 4, 8, 16, 32]
    panorama = cube_to_equirectangular(faces, 32)
    assert panorama.shape == (32, 64, 3)
    middle = panorama[16, :, 0]
    # +z ahead, +x to the right, -x to the left, -z behind; +y above, -y below.
    assert (middle[32], middle[48], middle[16], middle[0]) == (16, 1, 2, 32)
    assert (panorama[0, 0, 0], panorama[-1, 0, 0]) == (4, 8)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no KTX 1 file"),
        (cube_map(8)[:-4], "cut short"),
        (cube_map(8).replace(struct.pack("<I", 0x8C3A), struct.pack("<I", 0x8058)), "no cube map"),
    ],
)
def test_other_cube_maps(data: bytes, words: str):
    with pytest.raises(PhotoError, match=f"a.ktx is {words}"):
        read_cube_map(data, "a.ktx")
