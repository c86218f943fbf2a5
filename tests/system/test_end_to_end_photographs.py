"""The network as compiled against PyTorch on every bundled photograph, at real sizes."""

from __future__ import annotations

import numpy as np
import pytest
from fixtures_artefacts import ArtefactFactory, ProgramFactory
from photographs import PHOTOS, scaled

from compile.imaging.fit_size import fit_photo, padded_size, unfit
from compile.imaging.metrics import psnr
from compile.networks.run_module import run_module
from device.runtime.run_artefact import Session


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "photographs"), [((256, 256), 10), ((250, 333), 4), ((768, 1280), 2)], ids=str
)
def test_mixed_agrees_with_pytorch_on_every_photograph(
    artefact: ArtefactFactory,
    quantized_program: ProgramFactory,
    size: tuple[int, int],
    photographs: int,
):
    """On each at 256x256, on some where they are padded and at the size of the tables."""
    frame_size = padded_size(*size)
    session = Session(artefact(size=frame_size))
    module = quantized_program(size=frame_size).module()
    figures = {}
    for path in PHOTOS[:photographs]:
        frame, placement = fit_photo(scaled(path, *size), *frame_size)
        got = unfit(session.run(frame)[0], placement)
        assert got.shape == (*size, 3) and got.dtype == np.float32
        expected = unfit(run_module(module, frame), placement)
        figures[path.name] = psnr(got, expected)
        # A picture without contrast would be near to anything.
        assert np.std(expected) > 0.02, path.name
    assert len(figures) == photographs
    assert min(figures.values()) >= 45, figures
