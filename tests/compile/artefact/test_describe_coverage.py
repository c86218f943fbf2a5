"""How much of a network is computed in integers, as a build says it."""

from __future__ import annotations

import pytest
from fixtures_artefacts import ArtefactFactory
from tvm import te

from compile.artefact.describe_coverage import multiplies_int8
from compile.artefact.manifest import Coverage
from compile.artefact.show_build import describe_integers

#: Of MQNet at 64x96: the two 1x1 convolutions behind the head's norms.
HEAD_FLOATS = 64 * 96 * (12 * 6 + 6 * 3)


@pytest.mark.parametrize(
    ("scheme", "float_macs", "first"),
    [
        ("mixed", HEAD_FLOATS, "net.head.conv1"),
        ("int8", 0, "net.head.conv1"),
        ("fp32", None, "net.backbone.encoder"),
    ],
)
def test_a_build_says_it(
    scheme: str, float_macs: int | None, first: str, artefact: ArtefactFactory
) -> None:
    manifest = artefact(scheme=scheme).manifest
    coverage = manifest.coverage
    assert coverage is not None
    assert coverage.int8_macs + coverage.float_macs == manifest.whole.macs
    assert coverage.integer_ops + coverage.float_ops == len(manifest.calls)
    if float_macs is None:
        assert coverage.int8_macs == coverage.integer_ops == 0
    else:
        assert coverage.float_macs == float_macs
        # What the backbone calls; under int8 also what is between the head's norms.
        backbone = next(part for part in manifest.parts if part.name == "backbone")
        assert (coverage.integer_ops == backbone.ops) is (scheme == "mixed")
        assert coverage.integer_ops >= backbone.ops
    assert coverage.float_layers[0] == first


def test_a_plane_of_ones_multiplies_nothing() -> None:
    """A float masked-feature network has one that its size keeps from being folded."""

    ones = te.create_prim_func([te.compute((2, 3), lambda _i, _j: te.const(1.0, "float32"))])
    assert not multiplies_int8(ones)


def test_one_line() -> None:
    most = tuple(f"net.{number}" for number in range(10))
    assert describe_integers(Coverage(990, 10, 7, 2, ("net.a", "net.b"))) == (
        "in int8: 99.0% of MACs, 7 of 9 ops; float results: net.a, net.b"
    )
    assert describe_integers(Coverage(990, 10, 7, 2, most)).endswith("net.7 and 2 more")
    assert describe_integers(Coverage(0, 10, 0, 2, most)) == "in int8: 0.0% of MACs, 0 of 2 ops"
    assert describe_integers(Coverage(5, 0, 3, 0, ())) == "in int8: 100.0% of MACs, 3 of 3 ops"
