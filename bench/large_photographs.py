"""How long a photograph of many megapixels takes through a build with tiles, and its memory."""

from __future__ import annotations

import compile.support.early_interruption  # noqa: F401

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import tyro

from compile.support.cli import run_command, set_up_logging, stderr


@dataclass(frozen=True)
class Options:
    """Send large photographs through a build as compile/infer.py does, a process for each.

    Example: python bench/large_photographs.py build/host-mixed-ca-512x768-tiles
    """

    artefact: tyro.conf.Positional[Path]
    """Folder that compile/build.py --tiles has written."""

    sizes: tuple[str, ...] = ("4000x3000", "8000x6000")
    """Widths and heights of the photographs, which are bundled ones made larger, with noise."""

    format: Literal["jpg", "avif", "exr", "png"] = "jpg"
    """Of the files that are written."""

    json: bool = False
    """Print the rows as JSON to stdout instead of lines."""


def main() -> None:
    """Entry point of `python bench/large_photographs.py`."""
    run_command(Options, _measure)


def _measure(options: Options) -> None:
    set_up_logging(verbose=False)
    from bench.profiling.measure_large import measure_large, write_large_photo
    from compile.artefact.reader import open_artefact
    from compile.artefact.stage_facts import has_stages
    from compile.support.errors import MqnetError
    from compile.support.progress import Progress
    from compile.support.scratch_folder import scratch_folder

    sizes = [_size(text) for text in options.sizes]
    if not has_stages(open_artefact(options.artefact).manifest):
        raise MqnetError(
            f"{options.artefact} takes no photograph of any size: build it with --tiles"
        )
    rows = []
    with (
        scratch_folder("mqnet-large-") as folder,
        Progress(stderr).count("photographs", len(sizes)) as step,
    ):
        for width, height in sizes:
            step.describe(f"{width}x{height}")
            photo = folder / f"{width}x{height}.jpg"
            write_large_photo(photo, width, height)
            output = folder / f"out.{options.format}"
            rows.append(measure_large(options.artefact, photo, (width, height), output))
            step.advance()
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
        return
    for row in rows:
        print(
            f"{row.width}x{row.height} to {row.format}: {row.seconds:.1f} s, "
            f"{row.peak_bytes / 1e9:.2f} GB"
        )


def _size(text: str) -> tuple[int, int]:
    from compile.support.errors import MqnetError

    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and min(int(width), int(height)) >= 32):
        raise MqnetError(f"size {text} is not WIDTHxHEIGHT, of at least 32 pixels each")
    return int(width), int(height)


if __name__ == "__main__":
    main()
