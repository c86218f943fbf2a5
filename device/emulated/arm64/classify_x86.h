/* Which classes an instruction of x86 is in, by its text in AT&T's notation (operands in the order
 * from, to). For bench/emulator_ranking.py, which holds the method against this machine's clock; the
 * emulated board is no x86. Here a "quad" register has 256 bits. */
#include <stdlib.h>
#include <string.h>

#include "instruction_classes.h"
#include "scoreboard.h"

static bool begins_with_any(const char *text, const char *const names[], size_t count) {
  for (size_t index = 0; index < count; index++)
    if (!strncmp(text, names[index], strlen(names[index]))) return true;
  return false;
}

#define BEGINS_WITH(text, ...)                              \
  begins_with_any(text, (const char *const[]){__VA_ARGS__}, \
                  sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static struct instruction classify(struct qemu_plugin_insn *insn) {
  struct instruction found = {.times = {0}};
  char *text = qemu_plugin_insn_disas(insn);
  size_t length = strlen(text);
  while (length && text[length - 1] == ' ') length--;
  bool has_vector = strstr(text, "mm") != NULL, is_wide = strstr(text, "%ymm") != NULL;
  bool has_memory = strchr(text, '(') && !BEGINS_WITH(text, "lea", "nop", "prefetch");
  bool is_stack = BEGINS_WITH(text, "push", "pop", "call", "ret");
  bool compares = BEGINS_WITH(text, "cmp", "test", "vucomis", "vcomis", "bt");
  bool is_store = has_memory && length && text[length - 1] == ')' && !compares;
  bool only_moves = has_memory && BEGINS_WITH(text, "mov", "vmov", "vbroadcast", "vpbroadcast",
                                              "vlddqu", "vpmovs", "vpmovz");
  found.is_dot = BEGINS_WITH(text, "vpmaddwd", "vpmaddubsw", "vpdpbusd");
  found.is_simd = has_vector && !only_moves;
  found.is_load_store = has_memory || is_stack;
  if (found.is_load_store)
    found.times[is_store ? (is_wide ? STORE_QUAD : STORE) : (is_wide ? LOAD_QUAD : LOAD)] = 1;
  if (!only_moves)
    found.times[found.is_dot ? DOT_PRODUCT : found.is_simd ? SIMD : OTHER] = 1;
  free(text);
  return found;
}

/* Cores of x86 issue out of order: none waits for its registers in the order of the program. */
static struct operands operands_of(struct qemu_plugin_insn *insn) {
  (void)insn;
  return (struct operands){.base = NO_REGISTER, .accumulator = NO_REGISTER};
}
