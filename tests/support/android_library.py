"""What Android's loader asks of a library, read by pyelftools alone."""

from __future__ import annotations

from pathlib import Path

from elftools.elf.constants import P_FLAGS
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile

ANDROID_NEEDED = ["libc.so", "libm.so", "libdl.so", "libtvm_ffi.so", "libtvm_runtime.so"]


def dynamic_tags(elf: ELFFile) -> list:
    return [
        tag
        for section in elf.iter_sections()
        if isinstance(section, DynamicSection)
        for tag in section.iter_tags()
    ]


def check_android_library(library: Path) -> None:
    """All that Android's loader asks for, read by pyelftools alone."""
    with library.open("rb") as stream:
        elf = ELFFile(stream)
        assert elf["e_machine"] == "EM_AARCH64" and elf["e_type"] == "ET_DYN"
        tags = dynamic_tags(elf)
        by_name = {tag.entry.d_tag: tag for tag in tags}
        needed = [tag.needed for tag in tags if tag.entry.d_tag == "DT_NEEDED"]
        assert needed == ANDROID_NEEDED
        assert by_name["DT_RUNPATH"].runpath == "$ORIGIN"
        assert by_name["DT_FLAGS"].entry.d_val & 0x8, "BIND_NOW"
        assert "DT_HASH" in by_name and "DT_GNU_HASH" in by_name
        assert not {name for name in by_name if "VER" in name or name == "DT_TEXTREL"}
        names = [section.name for section in elf.iter_sections()]
        assert not [name for name in names if name.startswith((".gnu.version", ".debug"))]
        kinds: dict[str, list] = {}
        for segment in elf.iter_segments():
            kinds.setdefault(segment["p_type"], []).append(segment)
        assert "PT_TLS" not in kinds
        assert "PT_INTERP" not in kinds
        assert len(kinds["PT_GNU_RELRO"]) == 1
        (stack,) = kinds["PT_GNU_STACK"]
        assert not stack["p_flags"] & P_FLAGS.PF_X
        for load in kinds["PT_LOAD"]:
            assert load["p_align"] == 16384
            assert (load["p_vaddr"] - load["p_offset"]) % 16384 == 0
            assert not (load["p_flags"] & P_FLAGS.PF_X and load["p_flags"] & P_FLAGS.PF_W)
        defined = {symbol.name for symbol in elf.get_section_by_name(".dynsym").iter_symbols()}
    assert "__tvm_ffi__library_bin" in defined, sorted(defined)
