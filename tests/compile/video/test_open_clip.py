"""A clip's frames, and where a file ends that it should not."""

from __future__ import annotations

from pathlib import Path

import pytest

from compile.support.errors import ClipError
from compile.video.open_clip import Clip

HEADER = b"YUV4MPEG2 W96 H64 F25:1 Ip A1:1 C420\n"
FRAME = b"FRAME\n" + bytes(96 * 64 * 3 // 2)


def test_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "whole.y4m"
    path.write_bytes(HEADER + 3 * FRAME)
    photos = [frame.photo for frame in Clip(str(path)).frames(64, 96)]
    assert [photo.shape for photo in photos] == [(64, 96, 3)] * 3


@pytest.mark.parametrize("left", [1, 6, 4000])
def test_a_file_that_ends_within_a_frame(tmp_path: Path, left: int) -> None:
    """FFmpeg's reader says nothing: the clip would be taken for a shorter one."""
    path = tmp_path / "cut.y4m"
    path.write_bytes(HEADER + 3 * FRAME + FRAME[:left])
    with pytest.raises(ClipError, match=r"cut\.y4m ends within a frame: copy"):
        list(Clip(str(path)).frames(64, 96))
