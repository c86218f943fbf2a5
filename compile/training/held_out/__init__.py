"""The pairs of held-out scenes that accuracy is measured on, each with its source and licence, and
the tone curve that was fitted on the training scenes: what ``data.py hold-out`` writes."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from compile.support.atomic import atomic_path, make_folder, write_atomically
from compile.training.pairs import Pair, fixed_pairs
from compile.training.scenes.catalogue import catalogue
from compile.training.scenes.read_hdr import read_hdr
from compile.training.scenes.views import Place
from compile.training.scenes.write_exr import write_exr
from compile.training.tone_curve import fit_tone_curve

SIZE = 256
"""Height and width of a pair in pixels."""

_EACH, _SEED = 4, 2
_CURVE_EACH, _CURVE_SEED = 8, 1
_FOLDER = Path(__file__).parent
_SOURCES, _CURVE = "sources.toml", "tone_curve.txt"


def held_out_pairs() -> dict[str, Pair]:
    """The bundled pairs by name: photograph, uint8 [256,256,3], and relative light, float32 of
    that shape (1 = the photograph's white, at most 16)."""
    sources = tomllib.loads((_FOLDER / _SOURCES).read_text(encoding="utf-8"))
    return {
        name: (np.asarray(Image.open(_FOLDER / f"{name}.png")), read_hdr(_FOLDER / f"{name}.exr"))
        for name in sources
    }


def tone_curve() -> NDArray[np.float32]:
    """float32 [256]: the linear light of each 8-bit value under the best global curve of the
    training scenes (:func:`compile.training.tone_curve.fit_tone_curve`)."""
    return np.loadtxt(_FOLDER / _CURVE, dtype=np.float32)


def write_tone_curve(places: Mapping[str, Place], folder: Path) -> None:
    """Fit the tone curve on ``places``, those of the training scenes, and write it to
    ``folder``.

    Raises:
        OutputError: it cannot be written.
    """
    make_folder(folder)
    curve = fit_tone_curve(fixed_pairs(list(places.values()), SIZE, _CURVE_EACH, _CURVE_SEED))
    lines = ["# Linear light of the 8-bit values 0 to 255; written by compile/scenes.py hold-out."]
    lines += [f"{value:.6g}" for value in curve]
    write_atomically(folder / _CURVE, ("\n".join(lines) + "\n").encode())


def write_held_out(places: Mapping[str, Place], folder: Path) -> int:
    """Write four pairs of each of ``places`` to ``folder``, NAME.png and NAME.exr (half floats),
    and ``sources.toml``; how many there are.

    Raises:
        OutputError: a file cannot be written.
    """
    make_folder(folder)
    scenes = {scene.name: scene for scene in catalogue()}
    pairs = fixed_pairs(list(places.values()), SIZE, _EACH, _SEED)
    sources = ["# Written by compile/scenes.py hold-out: crops of these panoramas."]
    for number, (photo, light) in enumerate(pairs):
        scene = scenes[list(places)[number // _EACH]]
        name = f"{scene.name}-{number % _EACH}"
        with atomic_path(folder / f"{name}.png") as beside:
            Image.fromarray(photo).save(beside, optimize=True)
        write_exr(folder / f"{name}.exr", light.astype(np.float16))
        sources += [
            "",
            f"[{name}]",
            f'source = "{scene.source.title}: {scene.file}"',
            f'author = "{scene.source.author}"',
            f'licence = "{scene.source.licence}"',
        ]
    write_atomically(folder / _SOURCES, ("\n".join(sources) + "\n").encode())
    return len(pairs)
