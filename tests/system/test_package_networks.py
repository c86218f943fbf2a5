"""Networks of a package, none of which was written for this: built, and integers throughout, bit
for bit as in NumPy."""

from __future__ import annotations

import importlib.util

import pytest
from integer_networks import check_integers
from needed_in_ci import give_up
from torchvision_networks import NETWORKS, torchvision_network

SIZE = (64, 96)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_it_is_in_integers(name: str) -> None:
    if importlib.util.find_spec("torchvision") is None:
        give_up(name, "torchvision is not installed: pip install -r requirements-no-deps.lock")
    found = check_integers(torchvision_network(name), *SIZE, against_pytorch=False)
    assert found.distinct > 32, "so flat a result would prove nothing"
    # All but the result's own numbers, which are floats for whoever reads it.
    assert len(found.head) == 1 and "dequantize" in found.head[0]
