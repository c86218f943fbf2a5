"""What LLVM would take for something else, or die of."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from compile.support.errors import TargetError
from targets import check_llvm
from targets.check_llvm import check_llvm_knows
from targets.load_target import list_targets, load_target

A76 = load_target("cortex-a76").processor


@pytest.mark.parametrize("name", list_targets())
def test_every_target_is_known(name: str) -> None:
    check_llvm_knows(load_target(name).processor)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cpu": "cortex-a67"}, "'cpu' 'cortex-a67' is no core .* did you mean .*cortex-a76"),
        ({"cpu": "nothing like it"}, "is no core .* lists all"),
        ({"cpu": "znver4"}, "'cpu' 'znver4' is no core that LLVM knows for aarch64-linux-gnu"),
        ({"features": ("+dotprodd",)}, r"'\+dotprodd', which no core .* did you mean dotprod"),
        ({"features": ("dotprod",)}, r"'dotprod': write \+NAME or -NAME"),
        ({"triple": "arch64-linux-gnu"}, "'triple' 'arch64-linux-gnu' is no .* aarch64-linux-gnu"),
        ({"triple": "x86_64-linux-gnu"}, "'triple' .* EM_AARCH64"),
        ({"triple": "aarch64-apple-darwin"}, "is no Linux or Android system"),
        ({"linker": "android-arm64"}, "'linker' 'android-arm64' does not .* name .*linux-arm64"),
        (
            {"triple": "aarch64-linux-android24"},
            "'linker' 'linux-arm64' does not link for .*: name android-arm64",
        ),
        ({"dot_product": "smmla"}, r"'smmla' is no instruction of cortex-a76: add \+i8mm"),
        ({"dot_product": "sdot", "cpu": "cortex-a72", "features": ()}, r"add \+dotprod"),
        (
            {"dot_product": "vnni"},
            "'vnni' .* any EM_AARCH64: name one of smlal, sdot, smmla or none",
        ),
    ],
)
def test_what_is_not_known(change: dict[str, object], words: str) -> None:
    with pytest.raises(TargetError, match=rf"cortex-a76\.toml: .*{words}"):
        check_llvm_knows(replace(A76, **change))


def test_the_systems_linker_is_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(check_llvm._LINKED, "host", r"x86_64-linux-gnu")
    with pytest.raises(TargetError, match="'linker' 'host' does not link for aarch64-linux-gnu"):
        check_llvm_knows(replace(A76, linker="host"))


@pytest.mark.parametrize(
    "change",
    [
        {"features": ()},
        {"dot_product": "smmla", "features": ("+i8mm",)},
        {"dot_product": "none", "cpu": "cortex-a72", "features": ()},
        {"triple": "aarch64-unknown-linux-musl"},
        {"triple": "aarch64-linux-android35", "linker": "android-arm64"},
        {"features": ("+neon", "-dotprod"), "dot_product": "smlal"},
    ],
)
def test_what_is_known(change: dict[str, object]) -> None:
    check_llvm_knows(replace(A76, **change))
