"""NarrowHead: float16 from the head's first convolution to its last, float32 around them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fixtures_artefacts import SIZE, ArtefactFactory
from photographs import PHOTOS, scaled
from tvm import relax
from tvm.ir import assert_structural_equal
from tvm.script import ir as I
from tvm.script import relax as R

from compile.imaging.decode_hdr import decode_hdr, mu_law
from compile.passes.narrow_head import NarrowHead
from device.runtime.run_artefact import Session

WEIGHT = np.arange(-4, 4).reshape(2, 4, 1, 1).astype("int8")
WEIGHT_SCALE = np.array([0.1, 0.2], "float32")
BIAS = np.array([0.5, 1 / 3], "float32")
GAMMA, BETA = np.array([1.5, 1 / 7], "float32"), np.array([-1, 0.1], "float32")
# 1/3, 1/7 and 0.1 are other numbers in float16.
NARROW_BIAS, NARROW_GAMMA, NARROW_BETA = (a.astype("float16") for a in (BIAS, GAMMA, BETA))


def test_pictures_between_kernels_are_float16_and_nothing_else() -> None:
    @I.ir_module
    class Before:
        @R.function
        def head(q: R.Tensor((1, 5, 6, 4), "int8"), x: R.Tensor((1, 5, 6, 2), "uint8")) -> R.Tensor(
            (1, 5, 6, 2), "float32"
        ):
            with R.dataflow():
                weight = R.dequantize(
                    R.const(WEIGHT), R.const(WEIGHT_SCALE), R.const(0, "int8"), axis=0
                )
                picture = R.divide(R.astype(x, "float32"), R.const(255.0, "float32"))
                data = R.dequantize(q, R.const(0.1, "float32"), R.const(3, "int8"), axis=-1)
                conv = R.nn.conv2d(
                    data, weight, data_layout="NHWC", kernel_layout="OIHW", out_layout="NHWC"
                )
                biased = R.add(conv, R.const(BIAS))
                norm = R.nn.instance_norm(
                    biased, R.const(GAMMA), R.const(BETA), channel_axis=3, axes=[1, 2]
                )
                relu = R.nn.relu(norm)
                out = R.add(picture, R.tanh(relu))
                R.output(out)
            return out

        @R.function
        def main(q: R.Tensor((1, 5, 6, 4), "int8"), x: R.Tensor((1, 5, 6, 2), "uint8")) -> R.Tensor(
            (1, 5, 6, 2), "float32"
        ):
            cls = Before
            with R.dataflow():
                out = cls.head(q, x)
                R.output(out)
            return out

    @I.ir_module
    class After:
        @R.function
        def head(q: R.Tensor((1, 5, 6, 4), "int8"), x: R.Tensor((1, 5, 6, 2), "uint8")) -> R.Tensor(
            (1, 5, 6, 2), "float32"
        ):
            with R.dataflow():
                weight = R.dequantize(
                    R.const(WEIGHT),
                    R.const(WEIGHT_SCALE),
                    R.const(0, "int8"),
                    out_dtype="float16",
                    axis=0,
                )
                wide = R.astype(x, "float32")
                picture = R.divide(wide, R.const(255.0, "float32"))
                data = R.dequantize(
                    q,
                    R.const(0.1, "float32"),
                    R.const(3, "int8"),
                    out_dtype="float16",
                    axis=-1,
                )
                conv = R.nn.conv2d(
                    data, weight, data_layout="NHWC", kernel_layout="OIHW", out_layout="NHWC"
                )
                biased = R.add(conv, R.const(NARROW_BIAS))
                norm = R.nn.instance_norm(
                    biased, R.const(NARROW_GAMMA), R.const(NARROW_BETA), channel_axis=3, axes=[1, 2]
                )
                relu = R.nn.relu(norm)
                widened = R.astype(relu, "float32")
                tanh = R.tanh(widened)
                out = R.add(picture, tanh)
                R.output(out)
            return out

        @R.function
        def main(q: R.Tensor((1, 5, 6, 4), "int8"), x: R.Tensor((1, 5, 6, 2), "uint8")) -> R.Tensor(
            (1, 5, 6, 2), "float32"
        ):
            cls = After
            with R.dataflow():
                out = cls.head(q, x)
                R.output(out)
            return out

    assert_structural_equal(NarrowHead()(Before), After)


def test_a_head_that_ends_in_a_stored_picture_gives_float32() -> None:
    @I.ir_module
    class Before:
        @R.function
        def head(q: R.Tensor((1, 5, 6, 4), "int8")) -> R.Tensor((1, 5, 6, 4), "float32"):
            with R.dataflow():
                data = R.dequantize(q, R.const(0.1, "float32"), R.const(3, "int8"), axis=-1)
                out = R.nn.relu(data)
                R.output(out)
            return out

    narrowed = NarrowHead()(Before)["head"]
    assert narrowed.ret_ty.dtype == "float32"
    values = [binding.value for binding in narrowed.body.blocks[0].bindings]
    assert [str(value.ty.dtype) for value in values[:2]] == ["float16", "float16"]


def test_what_a_head_gives_to_later_parts_stays_as_it_is() -> None:
    @I.ir_module
    class Before:
        @R.function
        def head(
            q: R.Tensor((1, 5, 6, 4), "int8"),
        ) -> R.Tuple(R.Tensor((1, 5, 6, 4), "float32"), R.Tensor((1, 5, 6, 4), "int8")):
            with R.dataflow():
                data = R.dequantize(q, R.const(0.1, "float32"), R.const(3, "int8"), axis=-1)
                relu = R.nn.relu(data)
                late = R.quantize(relu, R.const(0.5, "float32"), R.const(0, "int8"), axis=-1)
                out = (relu, late)
                R.output(out)
            return out

        @R.function
        def head_1(x: R.Tensor((1, 5, 6, 4), "float32")) -> R.Tensor((1, 5, 6, 4), "float32"):
            with R.dataflow():
                out = R.tanh(x)
                R.output(out)
            return out

    narrowed = NarrowHead()(Before)
    assert narrowed["head"].ret_ty == Before["head"].ret_ty
    values = [binding.value for binding in narrowed["head"].body.blocks[0].bindings]
    dtypes = [str(value.ty.dtype) for value in values if isinstance(value, relax.Call)]
    assert dtypes[:2] == ["float16", "float16"] and "int8" in dtypes
    assert_structural_equal(narrowed["head_1"], Before["head_1"])


def test_results_that_an_operator_gives_together_stay_float32() -> None:
    """Also where they are bound twice."""

    @I.ir_module
    class Before:
        @R.function
        def head(q: R.Tensor((1, 5, 6, 4), "int8")):
            with R.dataflow():
                data = R.dequantize(q, R.const(0.1, "float32"), R.const(3, "int8"), axis=-1)
                both = R.split(R.nn.relu(data), 2, axis=3)
                out = both
                R.output(out)
            return out

    narrowed = NarrowHead()(Before)["head"]
    assert [field.dtype for field in narrowed.ret_ty.fields] == ["float32", "float32"]


@pytest.fixture(scope="module")
def sessions(artefact: ArtefactFactory) -> tuple[Session, Session]:
    return Session(artefact("host", "mixed")), Session(artefact("host", "mixed-fp16"))


@pytest.mark.slow
def test_the_backbone_is_the_same_and_holds_no_float16(sessions: tuple[Session, Session]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (1, *SIZE, 3), dtype=np.uint8)
    (wide,), (narrow,) = (session.network.run_part("backbone", image) for session in sessions)
    np.testing.assert_array_equal(narrow, wide)


@pytest.mark.slow
@pytest.mark.parametrize("photo", PHOTOS, ids=lambda path: path.stem)
def test_ten_bits_survive(sessions: tuple[Session, Session], photo: Path) -> None:
    """In mu-law light the error is on average a third of what rounding to 10 bits would add, or
    less, and nowhere more than one of their steps."""
    wide, narrow = (session.run(scaled(photo, *SIZE))[0].astype(float) for session in sessions)
    error = np.abs(mu_law(decode_hdr(narrow)) - mu_law(decode_hdr(wide)))
    assert 0 < np.sqrt(np.square(error).mean()) < 2**-10 / np.sqrt(12) / 3
    assert error.max() < 2**-10
