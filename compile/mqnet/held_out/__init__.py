"""The pairs of held-out scenes that accuracy is measured on; each with its source and licence."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from compile.atomic import atomic_path, make_folder, write_atomically
from compile.mqnet.scenes.catalogue import catalogue
from compile.mqnet.scenes.read_hdr import read_hdr
from compile.mqnet.scenes.views import Panorama
from compile.mqnet.scenes.write_exr import write_exr
from compile.mqnet.training.pairs import Pair, fixed_pairs

SIZE = 256
"""Height and width of a pair in pixels."""

_EACH, _SEED = 4, 2
_FOLDER = Path(__file__).parent
_SOURCES = "sources.toml"


def held_out_pairs() -> dict[str, Pair]:
    """The bundled pairs by name: photograph, uint8 [256,256,3], and relative light, float32 of
    that shape (1 = the photograph's white, at most 16)."""
    sources = tomllib.loads((_FOLDER / _SOURCES).read_text(encoding="utf-8"))
    return {
        name: (np.asarray(Image.open(_FOLDER / f"{name}.png")), read_hdr(_FOLDER / f"{name}.exr"))
        for name in sources
    }


def write_held_out(panoramas: Mapping[str, Panorama], folder: Path) -> int:
    """Write four pairs of each of ``panoramas`` to ``folder``, NAME.png and NAME.exr (half floats),
    and ``sources.toml``; how many there are.

    Raises:
        OutputError: a file cannot be written.
    """
    make_folder(folder)
    scenes = {scene.name: scene for scene in catalogue()}
    pairs = fixed_pairs(list(panoramas.values()), SIZE, _EACH, _SEED)
    sources = ["# Written by compile/mqnet/data.py hold-out: crops of these panoramas."]
    for place, (photo, light) in enumerate(pairs):
        scene = scenes[list(panoramas)[place // _EACH]]
        name = f"{scene.name}-{place % _EACH}"
        with atomic_path(folder / f"{name}.png") as beside:
            Image.fromarray(photo).save(beside, optimize=True)
        write_exr(folder / f"{name}.exr", light.astype(np.float16))
        sources += [
            "",
            f"[{name}]",
            f'source = "{scene.package.name} {scene.package.version}: {scene.file}"',
            f'author = "{scene.package.author}"',
            f'licence = "{scene.package.licence}"',
        ]
    write_atomically(folder / _SOURCES, ("\n".join(sources) + "\n").encode())
    return len(pairs)
