"""What entries of the zoo say of their modules."""

from __future__ import annotations

import pytest
import torch

from compile.networks.export_wrapper import ROOT
from compile.networks.seeded_network import SeededNetwork
from compile.networks.zoo import ZOO


@pytest.mark.parametrize("entry", ZOO, ids=lambda entry: entry.name)
def test_known_ranges_are_of_modules(entry: type[SeededNetwork]) -> None:
    network = entry(divisor="8")
    with torch.device("meta"):
        paths = {f"{ROOT}.{path}" for path, _ in network.architecture().named_modules()}
    assert set(network.known_ranges) <= paths


def test_every_mask_has_a_known_range() -> None:
    (entry,) = (entry for entry in ZOO if entry.name == "masked-features")
    assert len(entry().known_ranges) == 13
