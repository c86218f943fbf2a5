/* A QEMU plugin that writes how often each block of instructions was executed between the system
 * calls by which count_call.py watches a function: for bench/emulator_ranking.py, which has their
 * cycles from llvm-mca. Option: out=FILE, to which a line is added for each block (times, then the
 * bytes in hexadecimal) and an empty one behind each function. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qemu_plugin_v1.h"

EXPORT int qemu_plugin_version = 1;

/* As in count_instructions.c. */
enum { WATCH = 0x7f02 };

struct block {
  struct block *next;
  uint64_t times;
  size_t size;
  unsigned char bytes[];
};

static struct block *blocks;
static FILE *out;

static void list_block(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
  (void)id;
  size_t size = 0, count = qemu_plugin_tb_n_insns(tb);
  for (size_t index = 0; index < count; index++)
    size += qemu_plugin_insn_size(qemu_plugin_tb_get_insn(tb, index));
  struct block *block = calloc(1, sizeof *block + size);
  if (!block) abort();
  for (size_t index = 0; index < count; index++) {
    struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, index);
    memcpy(block->bytes + block->size, qemu_plugin_insn_data(insn), qemu_plugin_insn_size(insn));
    block->size += qemu_plugin_insn_size(insn);
  }
  block->next = blocks;
  blocks = block;
  qemu_plugin_register_vcpu_tb_exec_inline(tb, QEMU_PLUGIN_INLINE_ADD_U64, &block->times, 1);
}

static void answer(qemu_plugin_id_t id, unsigned int vcpu, int64_t number, uint64_t a1,
                   uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7,
                   uint64_t a8) {
  (void)id, (void)vcpu, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
  if (number != WATCH) return;
  for (struct block *block = blocks; block; block = block->next) {
    if (!a1 && block->times) { /* the function is watched no more */
      fprintf(out, "%llu ", (unsigned long long)block->times);
      for (size_t index = 0; index < block->size; index++) fprintf(out, "%02x", block->bytes[index]);
      fputc('\n', out);
    }
    block->times = 0;
  }
  if (!a1) fputc('\n', out), fflush(out);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc,
                               char **argv) {
  (void)info;
  if (argc != 1 || strncmp(argv[0], "out=", 4) || !(out = fopen(argv[0] + 4, "w"))) return 1;
  qemu_plugin_register_vcpu_tb_trans_cb(id, list_block);
  qemu_plugin_register_vcpu_syscall_cb(id, answer);
  return 0;
}
