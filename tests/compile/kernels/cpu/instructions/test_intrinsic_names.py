from __future__ import annotations

from tvm.s_tir import TensorIntrin

from compile.kernels.cpu.instructions.intrinsic_names import register_intrinsics


def test_an_instruction_that_there_is_no_more_is_left_unknown() -> None:
    parts = ["mqnet.smlalparts_parts_2x8", "mqnet.join_parts"]
    register_intrinsics(["mqnet.gone_8", "mqnet.gone_word_2x8", "mqnet.sdot_4", *parts])
    assert TensorIntrin.get("mqnet.gone_8", allow_missing=True) is None
    for name in ("mqnet.sdot_4", *parts):
        assert TensorIntrin.get(name, allow_missing=True) is not None
