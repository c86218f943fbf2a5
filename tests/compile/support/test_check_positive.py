"""Which numbers are refused, and by which name."""

from __future__ import annotations

import pytest

from compile.support.check_positive import check_positive
from compile.support.errors import MqnetError


def test_the_first_that_is_below_1_is_named() -> None:
    check_positive(steps=1, trials=64)
    with pytest.raises(MqnetError, match="^trials 0 is not a positive number$"):
        check_positive(steps=3, trials=0, threads=-2)
