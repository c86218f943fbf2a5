/* Which class an instruction of A64 is in, by its 32 bits: Arm's Architecture Reference Manual,
 * "A64 instruction set encoding". */
#include <string.h>

#include "instruction_classes.h"

/* Groups are told by bits 28 to 25: "Top-level encodings for A64". Loads and stores of vector
 * registers are loads and stores. */
static bool is_simd(uint32_t word) { return (word >> 25 & 7) == 7; }
static bool is_load_store(uint32_t word) { return (word >> 25 & 5) == 4; }

/* sdot, udot and usdot of vectors, the same by element, and smmla, ummla and usmmla. */
static bool is_dot(uint32_t word) {
  return (word & 0x9fe0f400) == 0x0e809400 || (word & 0x9fc0e400) == 0x0f80e000 ||
         (word & 0xdfe0f400) == 0x4e80a400;
}

/* "Advanced SIMD three different" from smlal to pmull; "three same": mla, mls, mul, pmul, sqdmulh and
 * sqrdmulh; "vector x indexed element": the integer ones, which leave bit 12 clear or are sqdmulh,
 * sqrdmulh and their kin, without dot products. */
static bool is_multiply(uint32_t word) {
  unsigned opcode = word >> 11 & 31, indexed = word >> 12 & 15;
  if ((word & 0x9f200c00) == 0x0e200000) return word >> 15 & 1; /* three different */
  if ((word & 0x9f200400) == 0x0e200400) return opcode == 18 || opcode == 19 || opcode == 22;
  if ((word & 0x9f000400) == 0x0f000000 && word & 0x00c00000)
    return !(indexed & 1) || indexed == 11 || indexed == 13 || indexed == 15 || indexed == 3 ||
           indexed == 7;
  return false;
}

/* Scalars but for moves, "three same" from opcode 24 on, "two registers" of floats and integers that
 * are converted, and floats by element. */
static bool is_floating(uint32_t word) {
  if ((word & 0x5f000000) == 0x1e000000) return true;
  if ((word & 0x9f200400) == 0x0e200400) return (word >> 11 & 31) >= 24;
  if ((word & 0x9f3e0c00) == 0x0e200800) return (word >> 12 & 31) >= 24 || (word >> 12 & 28) == 12;
  if ((word & 0x9f000400) == 0x0f000000) return (word >> 12 & 3) == 1;
  return false;
}

/* "Loads and stores": how many registers, whether they are of 128 bits, and which way. */
static void classify_load_store(uint32_t word, uint8_t times[CLASSES]) {
  bool is_vector = word >> 26 & 1, is_load = word >> 22 & 1, is_quad = false;
  unsigned registers = 1, size = word >> 30;
  if ((word & 0x3a000000) == 0x28000000) { /* pair */
    registers = 2;
    is_quad = is_vector && size == 2;
  } else if ((word & 0x3b000000) == 0x18000000) { /* literal */
    is_load = true;
    is_quad = is_vector && size == 2;
  } else if ((word & 0xbf000000) == 0x0c000000) { /* multiple structures */
    static const uint8_t of_opcode[16] = {4, 1, 4, 1, 3, 1, 3, 1, 2, 1, 2, 1, 1, 1, 1, 1};
    registers = of_opcode[word >> 12 & 15];
    is_quad = word >> 30 & 1;
  } else if ((word & 0x3a000000) == 0x38000000) { /* one register */
    if (is_vector)
      is_quad = size == 0 && word >> 23 & 1;
    else
      is_load = word >> 22 & 3; /* signed loads too */
  }
  times[is_load ? (is_quad ? LOAD_QUAD : LOAD) : (is_quad ? STORE_QUAD : STORE)] = registers;
}

static struct instruction classify(struct qemu_plugin_insn *insn) {
  uint32_t word;
  memcpy(&word, qemu_plugin_insn_data(insn), sizeof word);
  struct instruction found = {.is_simd = is_simd(word),
                              .is_load_store = is_load_store(word),
                              .is_dot = is_dot(word)};
  if (found.is_load_store)
    classify_load_store(word, found.times);
  else
    found.times[found.is_dot        ? DOT_PRODUCT
                : !found.is_simd    ? OTHER
                : is_multiply(word) ? MULTIPLY
                : is_floating(word) ? FLOATING
                                    : SIMD] = 1;
  return found;
}
