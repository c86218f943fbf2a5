"""The whole way once: build for this machine, run a bundled photograph, write the HDR picture."""

from __future__ import annotations

import compile.support.early_interruption  # noqa: F401

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from compile.support.cli import OUT, run_command, set_up_logging, stderr

_FRAMES = 9


@dataclass(frozen=True)
class Options:
    """Build MQNet for this machine, send a bundled photograph through it and write the HDR picture.

    Writes an AVIF (10-bit, PQ, BT.2020), an OpenEXR (linear) and a PNG to look at.
    """

    out: Annotated[Path, OUT] = Path("demo")
    """Folder to write to."""


def main() -> None:
    """Entry point of `python compile/demo.py`."""
    run_command(Options, _demo)


def _demo(options: Options) -> None:
    set_up_logging(verbose=False)
    import numpy as np

    from compile.artefact.show_build import show_build
    from compile.build_network import build_network
    from compile.build_request import BuildRequest
    from compile.imaging.bundled import bundled_photos
    from compile.imaging.compare import side_by_side
    from compile.imaging.decode_hdr import mu_law
    from compile.imaging.fit_size import padded_size
    from compile.imaging.metrics import psnr
    from compile.imaging.read_photo import read_photo
    from compile.imaging.write_hdr import write_hdr
    from compile.networks.mqnet.checkpoints import load_checkpoint
    from compile.networks.mqnet.run_pytorch import run_float_network
    from compile.support.build_cache import user_cache
    from compile.support.outputs import check_output_folder
    from compile.support.progress import Progress
    from device.runtime.infer_photos import run_photo
    from device.runtime.run_artefact import Session

    check_output_folder(options.out)
    path = bundled_photos("demo")[0]
    photo = read_photo(path)
    size = padded_size(*photo.shape[:2])
    progress = Progress(stderr)
    progress.say(f"building mixed MQNet for this machine at {size[0]}x{size[1]}")
    request = BuildRequest(target="host", size=size, out=options.out / "artefact")
    artefact = build_network(request, progress, cache=user_cache(os.environ))
    show_build(artefact, stderr)

    session = Session(artefact)
    with progress.phase("photograph"):
        linear, _ = run_photo(session, photo, "pad")
        seconds = [run_photo(session, photo, "pad")[1] for _ in range(_FRAMES)]
    outputs = [options.out / f"{path.stem}{ending}" for ending in (".avif", ".exr")]
    for output in outputs:
        write_hdr(output, linear)
    picture = options.out / f"{path.stem}-side-by-side.png"
    side_by_side(photo, linear, picture)

    with progress.phase("PyTorch beside it"):
        reference = run_float_network(load_checkpoint(None, "ca"), photo)
    agreement = psnr(mu_law(linear), mu_law(reference))
    for output in (*outputs, picture):
        print(output)
    print(
        f"{np.median(seconds) * 1e3:.1f} ms per frame at {size[0]}x{size[1]} with "
        f"{session.threads} threads (median of {_FRAMES})"
    )
    print(f"{agreement:.1f} dB PSNR against the PyTorch float32 network (mu-law light)")


if __name__ == "__main__":
    main()
