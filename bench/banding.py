"""What 8 bits at the output cost: a smooth sky from `int8` beside the same sky from `mixed`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from compile.cli import run_command, set_up_logging, stderr

_SCHEMES = ("int8", "mixed")


@dataclass(frozen=True)
class Options:
    """Show banding: a region of a photograph from the `int8` and from the `mixed` build, with the
    contrast stretched alike for all panels.
    """

    photo: Path | None = None
    """JPEG or PNG; the demo's unless given."""

    region: tuple[int, int, int, int] = (40, 480, 240, 400)
    """Top, left, height and width in pixels of the region to show."""

    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("build/banding.png")
    """Picture to write."""


def main() -> None:
    """Entry point of `python bench/banding.py`."""
    run_command(Options, _show)


def _show(options: Options) -> None:
    set_up_logging(verbose=False)
    from compile.atomic import make_folder
    from compile.build_artefact import BuildRequest, build_artefact
    from compile.errors import MqnetError
    from compile.imaging.bundled import bundled_photos
    from compile.imaging.decode_hdr import encode_hdr
    from compile.imaging.fit_size import padded_size
    from compile.imaging.read_photo import read_photo
    from compile.infer_photos import run_photo
    from compile.phases import Phases
    from compile.run_artefact import Session

    photo = read_photo(options.photo or bundled_photos("demo")[0])
    top, left, height, width = options.region
    if min(top, left) < 0 or min(height, width) < 1:
        raise MqnetError(f"region {options.region} is not a top, left, height and width")
    if top + height > photo.shape[0] or left + width > photo.shape[1]:
        raise MqnetError(
            f"region {options.region} is not inside of the photograph, which has "
            f"{photo.shape[0]} rows and {photo.shape[1]} columns"
        )
    make_folder(options.output.parent)
    size = padded_size(*photo.shape[:2])
    panels = {"photograph": photo[top : top + height, left : left + width] / 255}
    for scheme in _SCHEMES:
        stderr.print(scheme)
        folder = options.output.parent / f"banding-{scheme}"
        artefact = build_artefact(
            BuildRequest("host", scheme, size=size, out=folder), Phases(stderr)
        )
        light, _ = run_photo(Session(artefact), photo, "pad")
        panels[scheme] = encode_hdr(light)[top : top + height, left : left + width]
    _draw(panels, options.output)
    print(options.output)


def _draw(panels: dict, path: Path) -> None:
    import numpy as np
    from matplotlib.figure import Figure

    from compile.atomic import atomic_path

    figure = Figure(figsize=(4 * len(panels), 3), dpi=120, layout="constrained")
    for axis, (title, values) in zip(figure.subplots(1, len(panels)), panels.items(), strict=True):
        green = values[..., 1]
        low, high = np.percentile(green, (1, 99))
        axis.imshow(green, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
        axis.set(xticks=[], yticks=[])
        axis.set_title(f"{title}: {len(np.unique(green.round(5)))} levels")
    with atomic_path(path) as beside:
        figure.savefig(beside)


if __name__ == "__main__":
    main()
