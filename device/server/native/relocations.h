/* The relocations of object files that TVM's code generator and C compilers make. */
#ifndef NATIVE_SERVER_RELOCATIONS_H
#define NATIVE_SERVER_RELOCATIONS_H

#include "image.h"

/* What one relocation is about. A symbol has a slot: its address, and a stub that jumps there from
 * wherever the code lies. */
struct relocation {
    uint8_t *place;
    uint64_t room; /* bytes of the section from there on */
    uint64_t symbol;
    int64_t addend;
    uint8_t *slot;
};

enum { SLOT_BYTES = 24, STUB_OFFSET = 8 };

static void write_u32(uint8_t *place, uint64_t value) {
    uint32_t word = (uint32_t)value;
    memcpy(place, &word, sizeof word);
}

static int fits(int64_t value, int bits) {
    return value >= -((int64_t)1 << (bits - 1)) && value < (int64_t)1 << (bits - 1);
}

/* The address, and a jump to it: a literal behind the instructions that read it. */
static void fill_slot(uint8_t *slot, uint64_t address) {
    memcpy(slot, &address, sizeof address);
#if defined(__x86_64__)
    static const uint8_t jump[] = {0xff, 0x25, 0, 0, 0, 0}; /* jmp *0(%rip) */
    memcpy(slot + STUB_OFFSET, jump, sizeof jump);
    memcpy(slot + STUB_OFFSET + sizeof jump, &address, sizeof address);
#elif defined(__aarch64__)
    write_u32(slot + STUB_OFFSET, 0x58ffffd0);     /* ldr x16, the address before */
    write_u32(slot + STUB_OFFSET + 4, 0xd61f0200); /* br x16 */
#endif
}

#if defined(__x86_64__)

static int apply_relocation(const struct relocation *one, unsigned type, struct failure *failure) {
    uint64_t here = (uintptr_t)one->place, slot = (uintptr_t)one->slot;
    uint64_t value = one->symbol + (uint64_t)one->addend;
    int64_t distance = (int64_t)(value - here);
    int is_wide = type == R_X86_64_64 || type == R_X86_64_PC64;
    if (one->room < (is_wide ? 8u : 4u)) {
        return fail(failure, "it is damaged (a relocation outside of its section)");
    }
    switch (type) {
    case R_X86_64_64: memcpy(one->place, &value, sizeof value); return 0;
    case R_X86_64_PC64: memcpy(one->place, &distance, sizeof distance); return 0;
    case R_X86_64_GOTPCREL:
    case R_X86_64_GOTPCRELX:
    case R_X86_64_REX_GOTPCRELX:
        write_u32(one->place, slot + (uint64_t)one->addend - here);
        return 0;
    case R_X86_64_PLT32:
    case R_X86_64_PC32:
        if (!fits(distance, 32)) {
            distance = (int64_t)(slot + STUB_OFFSET + (uint64_t)one->addend - here);
        }
        write_u32(one->place, (uint64_t)distance);
        return 0;
    default: return fail(failure, "it has a relocation of type %u: compile it with -fPIC", type);
    }
}

#elif defined(__aarch64__)

/* Puts bits of a value into an instruction, where it has zeros for them. */
static void add_bits(uint8_t *place, uint64_t bits) {
    uint32_t word;
    memcpy(&word, place, sizeof word);
    write_u32(place, word | bits);
}

/* The page of an address, as ADRP has it. */
static void add_page(uint8_t *place, uint64_t address) {
    int64_t pages = (int64_t)(address >> 12) - (int64_t)((uintptr_t)place >> 12);
    add_bits(place, ((uint64_t)pages & 3) << 29 | ((uint64_t)pages >> 2 & 0x7ffff) << 5);
}

static int apply_relocation(const struct relocation *one, unsigned type, struct failure *failure) {
    uint64_t value = one->symbol + (uint64_t)one->addend, slot = (uintptr_t)one->slot;
    int64_t distance = (int64_t)(value - (uintptr_t)one->place);
    int is_wide = type == R_AARCH64_ABS64 || type == R_AARCH64_PREL64;
    if (one->room < (is_wide ? 8u : 4u)) {
        return fail(failure, "it is damaged (a relocation outside of its section)");
    }
    switch (type) {
    case R_AARCH64_ABS64: memcpy(one->place, &value, sizeof value); return 0;
    case R_AARCH64_PREL64: memcpy(one->place, &distance, sizeof distance); return 0;
    case R_AARCH64_PREL32: write_u32(one->place, (uint64_t)distance); return 0;
    case R_AARCH64_CALL26:
    case R_AARCH64_JUMP26:
        if (!fits(distance, 28)) {
            distance = (int64_t)(slot + STUB_OFFSET - (uintptr_t)one->place);
        }
        add_bits(one->place, (uint64_t)distance >> 2 & 0x3ffffff);
        return 0;
    case R_AARCH64_ADR_PREL_PG_HI21: add_page(one->place, value); return 0;
    case R_AARCH64_ADR_GOT_PAGE: add_page(one->place, slot); return 0;
    case R_AARCH64_LD64_GOT_LO12_NC: add_bits(one->place, (slot & 0xfff) >> 3 << 10); return 0;
    case R_AARCH64_ADD_ABS_LO12_NC:
    case R_AARCH64_LDST8_ABS_LO12_NC: add_bits(one->place, (value & 0xfff) << 10); return 0;
    case R_AARCH64_LDST16_ABS_LO12_NC: add_bits(one->place, (value & 0xfff) >> 1 << 10); return 0;
    case R_AARCH64_LDST32_ABS_LO12_NC: add_bits(one->place, (value & 0xfff) >> 2 << 10); return 0;
    case R_AARCH64_LDST64_ABS_LO12_NC: add_bits(one->place, (value & 0xfff) >> 3 << 10); return 0;
    case R_AARCH64_LDST128_ABS_LO12_NC: add_bits(one->place, (value & 0xfff) >> 4 << 10); return 0;
    default: return fail(failure, "it has a relocation of type %u: compile it with -fPIC", type);
    }
}

#endif
#endif
