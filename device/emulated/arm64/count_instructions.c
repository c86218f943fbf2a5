/* A QEMU plugin that counts what the emulated core executes, and how long a core of the target
 * file's model would take for it.
 *
 * Counters are of the whole process, and counted without locks: they hold for one thread. The
 * guest (guest_count.py, device/server/count_call.py) reads them by system calls that Linux does
 * not have, so that it can count from one point of its program to another. Without options, only
 * instructions are counted; with them (TimingModel.plugin_options) cycles and cache misses too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "qemu_plugin_v1.h"

#include "cache_model.h"
#include "in_order_step.h"

#ifdef CLASSIFY_X86
#include "classify_x86.h"
#else
#include "classify_arm64.h"
#include "registers_arm64.h"
#endif

EXPORT int qemu_plugin_version = 1;

/* Far beyond the last system call of Linux, which answers them with ENOSYS. */
enum { READ_COUNTERS = 0x7f01, WATCH = 0x7f02, READ_CALL = 0x7f03 };

/* The order is the one of Counts in count_instructions.py. */
enum counter { ALL, NEON, LOAD_STORE, DOT, COUNTERS };
/* What count_call.py reads, in this order; cycles in thousandths, without those of misses. */
struct reading {
  uint64_t calls, executed[COUNTERS], millicycles, l1d_misses, l2_misses;
};

static uint64_t executed[COUNTERS], millicycles;

/* What guest_count.py reads, in this order. */
struct totals {
  uint64_t executed[COUNTERS], millicycles, l1d_misses, l2_misses;
};

/* The function that is watched, readings when it was called last, and what its call before has
 * cost: whatever a caller does between two calls is the same each time, if it is no interpreter. */
static uint64_t watched;
static struct reading last, call;

/* TimingModel of targets/timing_model.py, in thousandths of a cycle. */
static bool has_model;
static struct core_timing core;
static uint64_t issue_cost, line_bytes;
static struct cache l1d, l2;

/* Of a core that issues in order. */
static bool has_latencies;
static struct scoreboard board;
struct steps {
  size_t count;
  struct step of[];
};

/* Of the guest's memory in this process: where the guest's address 0 would be. */
static uintptr_t guest_base;

static uint64_t larger(uint64_t one, uint64_t other) { return one > other ? one : other; }

/* What the instructions of a block keep their pipes busy, or what it takes to issue them. */
static uint64_t block_cost(const uint64_t times[CLASSES], uint64_t instructions) {
  uint64_t busy = 0;
  for (unsigned class = 0; class < CLASSES; class++) busy += times[class] * core.cost[class];
  return larger(busy, instructions * issue_cost);
}

/* A block begins. */
static void issue_block(unsigned int vcpu, void *data) {
  (void)vcpu;
  if (!watched) return;
  const struct steps *steps = data;
  for (size_t index = 0; index < steps->count; index++)
    scoreboard_issue(&board, &steps->of[index]);
  millicycles = board.now;
}

static void access_memory(unsigned int vcpu, qemu_plugin_meminfo_t info, uint64_t address,
                          void *data) {
  (void)vcpu, (void)data;
  if (!watched) return;
  uint64_t last = (address + (1u << qemu_plugin_mem_size_shift(info)) - 1) / line_bytes;
  for (uint64_t line = address / line_bytes; line <= last; line++)
    if (!cache_use(&l1d, line)) cache_use(&l2, line);
}

/* The watched function begins. */
static void begin_call(unsigned int vcpu, void *data) {
  (void)vcpu, (void)data;
  struct reading now = {last.calls + 1, {0}, millicycles, l1d.misses, l2.misses};
  memcpy(now.executed, executed, sizeof executed);
  const uint64_t *before = (const uint64_t *)&last, *after = (const uint64_t *)&now;
  uint64_t *difference = (uint64_t *)&call;
  for (size_t field = 0; field < sizeof now / sizeof *after; field++)
    difference[field] = after[field] - before[field];
  call.calls = last.calls;
  last = now;
}

/* A block of instructions without a branch in its middle has been translated. */
static void count_block(qemu_plugin_id_t id, struct qemu_plugin_tb *block) {
  (void)id;
  uint64_t found[COUNTERS] = {qemu_plugin_tb_n_insns(block)}, times[CLASSES] = {0};
  struct steps *steps = NULL;
  /* For as long as the process runs: QEMU does not say when it forgets a block. */
  if (has_latencies && !(steps = malloc(sizeof *steps + found[ALL] * sizeof *steps->of))) abort();
  for (size_t index = 0; index < found[ALL]; index++) {
    struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(block, index);
    struct instruction instruction = classify(insn);
    found[NEON] += instruction.is_simd;
    found[LOAD_STORE] += instruction.is_load_store;
    found[DOT] += instruction.is_dot;
    for (unsigned class = 0; class < CLASSES; class++) times[class] += instruction.times[class];
    if (steps) steps->of[index] = step_of(&instruction, operands_of(insn), &core);
    if (has_model && instruction.is_load_store)
      qemu_plugin_register_vcpu_mem_cb(insn, access_memory, QEMU_PLUGIN_CB_NO_REGS,
                                       QEMU_PLUGIN_MEM_RW, NULL);
  }
  struct qemu_plugin_insn *first = qemu_plugin_tb_get_insn(block, 0);
  guest_base = (uintptr_t)qemu_plugin_insn_haddr(first) - qemu_plugin_insn_vaddr(first);
  for (size_t counter = 0; counter < COUNTERS; counter++)
    if (found[counter])
      qemu_plugin_register_vcpu_tb_exec_inline(block, QEMU_PLUGIN_INLINE_ADD_U64,
                                               &executed[counter], found[counter]);
  if (!has_model) return;
  if (qemu_plugin_tb_vaddr(block) == watched)
    qemu_plugin_register_vcpu_tb_exec_cb(block, begin_call, QEMU_PLUGIN_CB_NO_REGS, NULL);
  if (steps) {
    steps->count = found[ALL];
    qemu_plugin_register_vcpu_tb_exec_cb(block, issue_block, QEMU_PLUGIN_CB_NO_REGS, steps);
  } else {
    qemu_plugin_register_vcpu_tb_exec_inline(block, QEMU_PLUGIN_INLINE_ADD_U64, &millicycles,
                                             block_cost(times, found[ALL]));
  }
}

static void answer(qemu_plugin_id_t id, unsigned int vcpu, int64_t number, uint64_t a1,
                   uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7,
                   uint64_t a8) {
  (void)id, (void)vcpu, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
  if (number == READ_COUNTERS) {
    struct totals totals = {{0}, millicycles, l1d.misses, l2.misses};
    memcpy(totals.executed, executed, sizeof executed);
    memcpy((void *)(guest_base + a1), &totals, sizeof totals);
  }
  if (number == READ_CALL) memcpy((void *)(guest_base + a1), &call, sizeof call);
  if (number != WATCH || !has_model) return;
  /* 0 for nothing. Where no function begins, only the caches are followed; a block that has been
   * translated before is not seen. */
  watched = a1;
  memset(&last, 0, sizeof last);
  memset(&call, 0, sizeof call);
  cache_empty(&l1d);
  cache_empty(&l2);
}

/* "name=sets:ways". */
static bool read_level(const char *text, struct cache *cache) {
  unsigned long sets, ways;
  return sscanf(text, "%lu:%lu", &sets, &ways) == 2 && cache_make(cache, sets, ways);
}

static bool read_option(const char *option) {
  static const struct {
    const char *name;
    uint64_t *number;
    struct cache *level;
  } known[] = {{"issue", &issue_cost, NULL},
               {"line", &line_bytes, NULL},
               {"dot_product", &core.cost[DOT_PRODUCT], NULL},
               {"multiply", &core.cost[MULTIPLY], NULL},
               {"floating", &core.cost[FLOATING], NULL},
               {"simd", &core.cost[SIMD], NULL},
               {"load", &core.cost[LOAD], NULL},
               {"load_quad", &core.cost[LOAD_QUAD], NULL},
               {"store", &core.cost[STORE], NULL},
               {"store_quad", &core.cost[STORE_QUAD], NULL},
               {"other", &core.cost[OTHER], NULL},
               {"latency_dot_product", &core.latency[DOT_PRODUCT], NULL},
               {"latency_multiply", &core.latency[MULTIPLY], NULL},
               {"latency_floating", &core.latency[FLOATING], NULL},
               {"latency_simd", &core.latency[SIMD], NULL},
               {"latency_load", &core.latency[LOAD], NULL},
               {"latency_other", &core.latency[OTHER], NULL},
               {"latency_sum", &core.sum_latency, NULL},
               {"l1d", NULL, &l1d},
               {"l2", NULL, &l2}};
  size_t length = strcspn(option, "=");
  if (!option[length]) return false;
  const char *value = option + length + 1;
  for (size_t index = 0; index < sizeof known / sizeof *known; index++) {
    if (strlen(known[index].name) != length || strncmp(option, known[index].name, length)) continue;
    if (known[index].level) return read_level(value, known[index].level);
    char *end;
    *known[index].number = strtoull(value, &end, 10);
    return end != value && !*end;
  }
  return false;
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc,
                               char **argv) {
  (void)info;
  for (int index = 0; index < argc; index++)
    if (!read_option(argv[index])) {
      fprintf(stderr, "count_instructions: option %s is not known\n", argv[index]);
      return 1;
    }
  has_model = l1d.lines && l2.lines && line_bytes;
  core.latency[LOAD_QUAD] = core.latency[LOAD];
  has_latencies = has_model && core.sum_latency;
  qemu_plugin_register_vcpu_tb_trans_cb(id, count_block);
  qemu_plugin_register_vcpu_syscall_cb(id, answer);
  return 0;
}
