"""Which of three spaces a photograph's colours need, and the ways between them."""

from __future__ import annotations

import imagecodecs
import numpy as np
import pytest
from picture_files import ADOBE, BT2020, D65, P3, SRGB, srgb_profile, to_bt709

from compile.imaging import gamuts
from compile.imaging.colour_spaces import ColourSpace, space_of_codes, space_of_numbers
from compile.imaging.gamuts import gamut_of

PROPHOTO = (0.3457, 0.3585, 0.7347, 0.2653, 0.1596, 0.8404, 0.0366, 0.0001)


@pytest.mark.parametrize(
    ("space", "gamut"),
    [
        (None, gamuts.SRGB),
        (ColourSpace("sRGB"), gamuts.SRGB),
        (ColourSpace("littlecms", srgb_profile()), gamuts.SRGB),
        (ColourSpace("grey", imagecodecs.cms_profile("gray", gamma=2.2)), gamuts.SRGB),
        (space_of_codes(1, 1, True, ""), gamuts.SRGB),
        (space_of_codes(6, 13, True, ""), gamuts.SRGB),
        (space_of_codes(12, 13, True, ""), gamuts.P3),
        (space_of_numbers(2.2, (*D65, *ADOBE), ""), gamuts.BT2020),
        (space_of_codes(9, 14, True, ""), gamuts.BT2020),
        (space_of_numbers(1.8, PROPHOTO, ""), gamuts.BT2020),
    ],
)
def test_the_smallest_that_holds_the_colours(
    space: ColourSpace | None, gamut: gamuts.Gamut
) -> None:
    assert gamut_of(space) is gamut


@pytest.mark.parametrize(
    ("gamut", "primaries"), [(gamuts.SRGB, SRGB), (gamuts.P3, P3), (gamuts.BT2020, BT2020)]
)
def test_light_by_the_formula(gamut: gamuts.Gamut, primaries: tuple[float, ...]) -> None:
    light = np.random.default_rng(0).random((50, 3))
    bt709 = light @ to_bt709(D65, primaries).T
    np.testing.assert_allclose(gamut.to_bt709(light), bt709, atol=1e-5)
    wide = bt709 @ np.linalg.inv(to_bt709(D65, BT2020)).T
    np.testing.assert_allclose(gamut.to_bt2020(light), wide, atol=2e-4)  # BT.2087 has 4 digits


def test_a_broken_profile() -> None:
    with pytest.raises(ValueError, match="damaged"):
        gamut_of(ColourSpace("broken", srgb_profile()[:200]))
