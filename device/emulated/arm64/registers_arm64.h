/* Which registers an instruction of A64 reads and writes, by its 32 bits: Arm's Architecture
 * Reference Manual, "A64 instruction set encoding". What compiled kernels execute is told exactly;
 * of rare instructions (atomics, cryptography, system registers) a register may be missing. */
#ifndef REGISTERS_ARM64_H
#define REGISTERS_ARM64_H

#include <string.h>

#include "scoreboard.h"

/* 31 is the zero register or the stack's pointer, for which nobody waits. */
enum { NOBODY = 31, VECTORS = 32, FLAGS = 64 };

static unsigned bits(uint32_t word, unsigned low, unsigned count) {
  return word >> low & ((1u << count) - 1);
}

static void reads(struct operands *found, unsigned number) {
  if (number != NOBODY) found->reads[found->read_count++] = number;
}

static void writes(struct operands *found, unsigned number) {
  if (number != NOBODY) found->writes[found->write_count++] = number;
}

/* Vectors from `first` on, modulo 32. */
static void each_vector(struct operands *found, void (*does)(struct operands *, unsigned),
                        unsigned first, unsigned count) {
  for (unsigned index = 0; index < count; index++) does(found, VECTORS + (first + index) % 32);
}

static void data_immediate(uint32_t word, struct operands *found) {
  unsigned group = bits(word, 23, 3), opc = bits(word, 29, 2);
  bool is_move_wide = group == 5, is_bitfield = group == 6;
  writes(found, bits(word, 0, 5));
  if (group < 2) return; /* adr */
  if (!is_move_wide) reads(found, bits(word, 5, 5));
  if ((is_move_wide && opc == 3) || (is_bitfield && opc == 1)) reads(found, bits(word, 0, 5));
  if (group == 7) reads(found, bits(word, 16, 5)); /* extr */
  if ((group == 2 && opc & 1) || (group == 4 && opc == 3)) writes(found, FLAGS);
}

static void data_registers(uint32_t word, struct operands *found) {
  unsigned group = bits(word, 21, 8), opc = bits(word, 29, 2);
  bool is_one_source = group == 0xd6 && opc & 2, is_compare = group == 0xd2;
  reads(found, bits(word, 5, 5));
  if (!is_one_source && !(is_compare && bits(word, 11, 1))) reads(found, bits(word, 16, 5));
  if (bits(word, 24, 5) == 0x1b) reads(found, bits(word, 10, 5)); /* madd and its kin */
  if (group == 0xd0 || is_compare || group == 0xd4) reads(found, FLAGS);
  bool sets_flags = (bits(word, 24, 5) == 0x0b && opc & 1) || (group == 0xd0 && opc & 1) ||
                    (bits(word, 24, 5) == 0x0a && opc == 3) || is_compare;
  if (sets_flags) writes(found, FLAGS);
  if (!is_compare) writes(found, bits(word, 0, 5));
}

static void branch(uint32_t word, struct operands *found) {
  if ((word & 0xff000010) == 0x54000000) reads(found, FLAGS);
  if ((word & 0x7c000000) == 0x34000000) reads(found, bits(word, 0, 5)); /* cbz, tbz */
  if ((word & 0xfe000000) == 0xd6000000) reads(found, bits(word, 5, 5));
}

/* Stores do not wait for what they store, only for its address: it goes through a buffer. */
static void load_store(uint32_t word, struct operands *found) {
  bool is_vector = bits(word, 26, 1), is_load = bits(word, 22, 1), writes_base = false;
  bool replaces_all = true, is_pair = (word & 0x3a000000) == 0x28000000;
  unsigned first = bits(word, 0, 5), registers = 1, second = NOBODY, base = bits(word, 5, 5);
  if (is_pair) {
    second = bits(word, 10, 5);
    writes_base = bits(word, 23, 1);
  } else if ((word & 0x3b000000) == 0x18000000) { /* literal */
    is_load = true;
    base = NOBODY;
  } else if ((word & 0xbe000000) == 0x0c000000) { /* structures */
    static const uint8_t of_opcode[16] = {4, 1, 4, 1, 3, 1, 3, 1, 2, 1, 2, 1, 1, 1, 1, 1};
    bool is_single = bits(word, 24, 1);
    replaces_all = !is_single || bits(word, 14, 2) == 3; /* else one lane */
    registers = is_single ? (bits(word, 13, 1) << 1 | bits(word, 21, 1)) + 1
                          : of_opcode[bits(word, 12, 4)];
    writes_base = bits(word, 23, 1);
    if (writes_base) reads(found, bits(word, 16, 5));
  } else if ((word & 0x3a000000) == 0x38000000) { /* one register */
    bool has_offset = !bits(word, 24, 1), by_register = has_offset && bits(word, 21, 1);
    if (!is_vector) is_load = bits(word, 22, 2);
    if (!is_vector && bits(word, 30, 2) == 3 && bits(word, 22, 2) == 2) is_load = false; /* prfm */
    if (by_register) reads(found, bits(word, 16, 5));
    writes_base = has_offset && !by_register && bits(word, 10, 1);
  }
  reads(found, base);
  if (writes_base && base != NOBODY) found->base = base;
  if (!is_load) return;
  if (is_vector) {
    each_vector(found, writes, first, registers);
    if (!replaces_all) each_vector(found, reads, first, registers);
    if (is_pair) each_vector(found, writes, second, 1);
  } else {
    writes(found, first);
    writes(found, second);
  }
}

/* Floats of one register, and what goes between them and general registers. */
static void scalar_float(uint32_t word, struct operands *found) {
  unsigned to = bits(word, 0, 5), from = bits(word, 5, 5), other = bits(word, 16, 5);
  if (bits(word, 24, 1)) { /* fmadd */
    each_vector(found, reads, from, 1);
    each_vector(found, reads, other, 1);
    each_vector(found, reads, bits(word, 10, 5), 1);
    each_vector(found, writes, to, 1);
    return;
  }
  unsigned opcode = bits(word, 16, 3), low = bits(word, 10, 6);
  if (!bits(word, 21, 1) || !low) { /* to or from integers; fixed-point ones have no bit 21 */
    bool from_general = opcode == 2 || opcode == 3 || (low == 0 && bits(word, 21, 1) && opcode == 7);
    if (from_general) {
      reads(found, from);
      each_vector(found, writes, to, 1);
    } else {
      each_vector(found, reads, from, 1);
      writes(found, to);
    }
    return;
  }
  bool is_compare = (low & 15) == 8, is_immediate = (low & 7) == 4, is_one = (low & 31) == 16;
  bool is_conditional = (low & 3) == 1, is_select = (low & 3) == 3;
  if (!is_immediate) each_vector(found, reads, from, 1);
  if (!is_immediate && !is_one && !(is_compare && bits(word, 3, 1)))
    each_vector(found, reads, other, 1);
  if (is_conditional || is_select) reads(found, FLAGS);
  if (is_compare || is_conditional)
    writes(found, FLAGS);
  else
    each_vector(found, writes, to, 1);
}

/* Adds to its result's register, in which it therefore waits for the last sum. */
static bool is_accumulating(uint32_t word) {
  unsigned three_same = bits(word, 11, 5), opcode = bits(word, 12, 4);
  if ((word & 0x9f200400) == 0x0e200400)
    return three_same == 18 || three_same == 15 || (three_same == 25 && !bits(word, 29, 1));
  if ((word & 0x9f208400) == 0x0e008400) return true; /* sdot, sqrdmlah */
  if ((word & 0x9f200c00) == 0x0e200000) /* smlal, sabal */
    return opcode == 5 || (opcode >= 8 && opcode <= 11);
  if ((word & 0x9f3e0c00) == 0x0e200800) return (word >> 12 & 31) == 6; /* sadalp */
  if ((word & 0x9f000400) == 0x0f000000)
    return opcode == 1 || opcode == 2 || opcode == 3 || opcode == 5 || opcode == 6 || opcode == 7 ||
           opcode >= 14 || (bits(word, 29, 1) && (opcode == 0 || opcode == 4 || opcode == 13));
  if ((word & 0x9f800400) == 0x0f000400 && bits(word, 19, 4)) /* ssra, srsra */
    return three_same == 2 || three_same == 6;
  return false;
}

/* Leaves a part of its result's register as it was: inserted lanes and bits, upper halves. */
static bool is_inserting(uint32_t word) {
  unsigned three_same = bits(word, 11, 5), opcode = bits(word, 12, 5);
  bool is_upper = bits(word, 30, 1), is_unsigned = bits(word, 29, 1);
  if ((word & 0x9f200400) == 0x0e200400) return three_same == 3 && is_unsigned; /* bsl */
  if ((word & 0x9f3e0c00) == 0x0e200800)
    return opcode == 3 || (is_upper && (opcode == 18 || opcode == 20 || opcode == 22));
  if ((word & 0x9f200c00) == 0x0e200000)
    return is_upper && (bits(word, 12, 4) == 4 || bits(word, 12, 4) == 6);
  if ((word & 0x9f800400) == 0x0f000400) {
    if (!bits(word, 19, 4)) return bits(word, 12, 1) && bits(word, 14, 2) != 3; /* orr, bic */
    return (is_unsigned && (three_same == 8 || three_same == 10)) ||
           (is_upper && three_same >= 16 && three_same <= 19);
  }
  return false;
}

/* dup, ins, smov and umov. */
static void vector_copy(uint32_t word, struct operands *found) {
  unsigned to = bits(word, 0, 5), from = bits(word, 5, 5), opcode = bits(word, 11, 4);
  bool inserts_element = bits(word, 29, 1);
  if (!inserts_element && (opcode == 1 || opcode == 3))
    reads(found, from);
  else
    each_vector(found, reads, from, 1);
  if (!inserts_element && (opcode == 5 || opcode == 7)) {
    writes(found, to);
    return;
  }
  if (inserts_element || opcode == 3) each_vector(found, reads, to, 1);
  each_vector(found, writes, to, 1);
}

static void vector(uint32_t word, struct operands *found) {
  unsigned to = bits(word, 0, 5), from = bits(word, 5, 5), other = bits(word, 16, 5);
  if ((word & 0x9fe08400) == 0x0e000400) {
    vector_copy(word, found);
    return;
  }
  bool is_table = (word & 0xbfe08c00) == 0x0e000000;
  bool is_shift = (word & 0x9f800400) == 0x0f000400 && bits(word, 19, 4);
  bool is_immediate = (word & 0x9f800400) == 0x0f000400 && !is_shift;
  bool is_one = (word & 0x9f3e0c00) == 0x0e200800 || (word & 0x9f3e0c00) == 0x0e300800;
  bool is_indexed = (word & 0x9f000400) == 0x0f000000;
  if (!is_immediate) each_vector(found, reads, from, is_table ? bits(word, 13, 2) + 1 : 1);
  if (!is_immediate && !is_shift && !is_one) {
    /* By element, lanes of 16 bits are in the lower half of the registers. */
    bool is_half = is_indexed && bits(word, 22, 2) < 2;
    each_vector(found, reads, is_half ? other & 15 : other, 1);
  }
  if (is_accumulating(word)) {
    found->accumulator = VECTORS + to;
  } else if (is_inserting(word) || (is_table && bits(word, 12, 1))) {
    each_vector(found, reads, to, 1);
  }
  each_vector(found, writes, to, 1);
}

static struct operands operands_of(struct qemu_plugin_insn *insn) {
  uint32_t word;
  memcpy(&word, qemu_plugin_insn_data(insn), sizeof word);
  struct operands found = {.base = NO_REGISTER, .accumulator = NO_REGISTER};
  if ((word >> 25 & 5) == 4) {
    load_store(word, &found);
  } else if ((word >> 25 & 7) == 7) {
    if ((word & 0x5e000000) == 0x1e000000)
      scalar_float(word, &found);
    else /* scalars of one lane are encoded as vectors are, but for bits 28 and 30 */
      vector(word & 0x10000000 && word & 0x40000000 ? word & ~0x10000000u : word, &found);
  } else if ((word >> 25 & 7) == 5) {
    data_registers(word, &found);
  } else if ((word >> 26 & 7) == 4) {
    data_immediate(word, &found);
  } else if ((word >> 26 & 7) == 5) {
    branch(word, &found);
  }
  return found;
}

#endif
