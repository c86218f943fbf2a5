"""The text of a kernel: what it calls in front, and its textures as images."""

from __future__ import annotations

from compile.codegen.opencl.kernel_sources import complete_source

_PARAMETERS = "__global char* restrict a_ptr, {} w_ptr"
_IMAGE, _TEXTURE = "__read_only image2d_t", "image2d_array_t"


def test_what_is_called_is_written_in_front_once() -> None:
    body = (
        "  mqnet_store_char_4(a_ptr, (mqnet_load_char_4(a_ptr) + mqnet_load_char_4(a_ptr + 4)));\n"
    )
    kernel = f"__kernel void k(__global char* restrict a_ptr) {{\n{body}}}\n"
    assert complete_source(kernel) == (
        "#ifndef MQNET_LOAD_CHAR_4\n"
        "#define MQNET_LOAD_CHAR_4\n"
        "#define mqnet_load_char_4(address) (*(const __global char4*)(address))\n"
        "#endif\n"
        "#ifndef MQNET_STORE_CHAR_4\n"
        "#define MQNET_STORE_CHAR_4\n"
        "#define mqnet_store_char_4(address, value) (*(__global char4*)(address) = (value))\n"
        "#endif\n" + kernel
    )


def test_textures_are_images_and_declarations_go() -> None:
    head = f"__kernel void k({_PARAMETERS.format(_TEXTURE)})"
    sampler = (
        "  const sampler_t image_sampler = CLK_NORMALIZED_COORDS_FALSE | CLK_FILTER_NEAREST;\n"
    )
    found = complete_source(f"{head};\n{head} {{\n{sampler}  x = mqnet_pixel_4(w_ptr, 8);\n}}\n")
    kernel = (
        f"__kernel void k({_PARAMETERS.format(_IMAGE)}) {{\n  x = mqnet_pixel_4(w_ptr, 8);\n}}\n"
    )
    assert found.endswith(f"#endif\n{kernel}")
    assert found.count(f"int4 mqnet_pixel_4({_IMAGE} image, int word) {{") == 1


def test_a_kernel_that_calls_nothing_stays() -> None:
    kernel = (
        "__kernel void k(__global char* restrict a_ptr) {\n  a_ptr[0] = vload3(0, a_ptr).s0;\n}\n"
    )
    assert complete_source(kernel) == kernel
