"""What the templates are filled with."""

from __future__ import annotations

import pytest

from compile.codegen.standalone.build_standalone import identifier_of
from compile.codegen.standalone.processor_features import processor_features
from compile.codegen.standalone.write_sources import c_string
from targets.load_target import load_target


@pytest.mark.parametrize(
    ("text", "spelt"),
    [
        ("net.conv", '"net.conv"'),
        ('a"b\\c', r'"a\042b\134c"'),
        ("x\n1", r'"x\0121"'),
        ("??/", r'"\077\077/"'),
        ("\u00fc", r'"\303\274"'),
        ("", '""'),
    ],
)
def test_string_of_c(text: str, spelt: str) -> None:
    assert c_string(text) == spelt


@pytest.mark.parametrize(
    ("name", "identifier"),
    [
        ("mqnet", "mqnet"),
        ("U-Net++", "u_net"),
        ("2stage", "net_2stage"),
        ("m", "net_m"),
        ("\u7f51", "net"),
        ("", "net"),
    ],
)
def test_name_of_a_library(name: str, identifier: str) -> None:
    assert identifier_of(name) == identifier


def test_features_of_targets() -> None:
    def names(target: str) -> set[str]:
        return {feature.name for feature in processor_features(load_target(target))}

    assert names("linux-arm64") == {"asimd"}
    assert {"asimd", "asimddp", "atomics", "asimdhp"} <= names("cortex-a76")
    assert "i8mm" not in names("cortex-a76")
    assert {"i8mm", "sve"} <= names("cortex-x2")
    # What the target file says has to be there is among what is asked for.
    host = load_target("host")
    assert set(host.requires) - {"asimd"} <= names("host")
