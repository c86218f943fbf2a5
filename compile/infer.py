"""Send photographs through a built network: writes HDR pictures."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from compile.support.cli import run_command, set_up_logging, stderr


@dataclass(frozen=True)
class Options:
    """Send photographs through a built network: writes HDR pictures.

    Examples:
    python compile/infer.py build/host-mixed-ca-768x1280 photo.jpg -o photo.avif
    python compile/infer.py build/host-mixed-ca-768x1280 *.jpg -o hdr/
    """

    artefact: tyro.conf.Positional[Path]
    """Folder that compile/build.py has written."""

    photos: tyro.conf.Positional[tuple[Path, ...]]
    """JPEG or PNG files of any size and colour space but HDR."""

    output: Annotated[Path, tyro.conf.arg(name="output", aliases=["-o"])]
    """File ending in .avif (10-bit, PQ, BT.2020), .exr (linear) or .png (tone-mapped preview); for
    several photographs a folder, which gets .avif files."""

    resize: bool = False
    """Shrink a photograph that is larger than the network was built for; else it is an error."""

    threads: int | None = None
    """Threads per frame, at most the number that was built for, which it is unless given."""

    json: bool = False
    """Print one line of JSON per photograph to stdout."""


def main() -> None:
    """Entry point of `mqnet-infer` and of `python compile/infer.py`."""
    run_command(Options, _infer)


def _infer(options: Options) -> None:
    set_up_logging(verbose=False)
    from compile.artefact.reader import open_artefact
    from compile.imaging.fit_size import FitMode
    from compile.support.atomic import make_folder
    from device.runtime.infer_photos import infer_photos, plan_outputs
    from device.runtime.run_artefact import Session

    outputs = plan_outputs(options.photos, options.output)
    session = Session(open_artefact(options.artefact), options.threads)
    if outputs[0][1] != options.output:
        make_folder(options.output)
    mode: FitMode = "resize" if options.resize else "pad"
    failures = []
    for result in infer_photos(session, outputs, mode, stderr):
        if result.error is not None:
            failures.append(result.error)
        if options.json:
            print(json.dumps(result.as_json()), flush=True)
        elif result.error is None:
            line = f"{result.output}  {result.seconds * 1e3:.1f} ms"
            stderr.print(line, highlight=False, markup=False, soft_wrap=True)
    if failures:
        raise failures[0] if len(outputs) == 1 else _several(failures, len(outputs))


def _several(failures: list, total: int) -> Exception:
    from compile.support.errors import PhotoError

    first = failures[0]
    return PhotoError(f"{len(failures)} of {total} photographs failed, the first because: {first}")


if __name__ == "__main__":
    main()
