"""By what a clip is known on a command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

#: Stands for standard input and output.
PIPE = "-"
#: By the ending of a file, FFmpeg's name of its kind.
CONTAINERS: Mapping[str, str] = {".mkv": "matroska", ".mp4": "mp4", ".mov": "mov"}


def is_clip(sources: Sequence[str], output: str) -> bool:
    """Whether a clip is to be made, or frames for a pipe."""
    return PIPE in (*sources, output) or Path(output).suffix.lower() in CONTAINERS
