"""`compile/check_calibration.py` as a user calls it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from command_line import Command, check_sentence
from searched_network import SEARCHED

from compile.imaging.bundled import bundled_photos


def test_the_table_of_a_network(here: Command, tmp_path: Path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in bundled_photos("calibration")[:2]:
        shutil.copy(path, folder)
    options = (*SEARCHED, "--calibrate", folder, "--scheme", "int8", "--choices", "2", "--json")
    outcome = here("compile/check_calibration", *options)
    assert outcome.code == 0, outcome.err
    made = json.loads(outcome.out)
    assert [row["photographs"] for row in made["calibration"]] == [1, 2]
    for row in made["calibration"]:
        assert row["choices"] == 2
        assert 10 < row["worst_db"] <= row["least_db"] <= row["mean_db"] <= row["most_db"] < 100
        assert row["spread_db"] == row["most_db"] - row["least_db"]
    is_warned = "2 photographs are too few" in outcome.err
    assert is_warned == (made["calibration"][-1]["spread_db"] > 1) == bool(made["too_few"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--scheme", "w8a32"), ("scheme w8a32 chooses no scales",)),
        (("--choices", "1"), ("choices 1", "from 2")),
        (("--photos", "none"), ("none is no folder",)),
    ],
)
def test_what_cannot_be_varied(here: Command, options: tuple[str, ...], said: tuple[str, ...]):
    check_sentence(here("compile/check_calibration", *SEARCHED, *options), *said)
