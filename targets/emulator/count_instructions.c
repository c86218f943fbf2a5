/* A QEMU plugin that counts what the emulated arm64 core executes.
 *
 * Counters are of the whole process, and counted without locks: they hold for one thread. The
 * guest (guest_count.py) reads them by a system call that Linux does not have, so that it can count
 * from one point of its program to another.
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

/* Version 1 of QEMU's plugin interface (QEMU 4.2 to 8), as far as it is used here. Declared by
 * hand, because distributions ship QEMU without its qemu-plugin.h. */
typedef uint64_t qemu_plugin_id_t;
typedef struct qemu_info_t qemu_info_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };
typedef void (*qemu_plugin_vcpu_tb_trans_cb_t)(qemu_plugin_id_t id, struct qemu_plugin_tb *tb);
typedef void (*qemu_plugin_vcpu_syscall_cb_t)(qemu_plugin_id_t id, unsigned int vcpu, int64_t num,
                                              uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4,
                                              uint64_t a5, uint64_t a6, uint64_t a7, uint64_t a8);
void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id, qemu_plugin_vcpu_tb_trans_cb_t cb);
void qemu_plugin_register_vcpu_syscall_cb(qemu_plugin_id_t id, qemu_plugin_vcpu_syscall_cb_t cb);
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *tb, enum qemu_plugin_op op,
                                              void *counter, uint64_t amount);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
void *qemu_plugin_insn_haddr(const struct qemu_plugin_insn *insn);

EXPORT int qemu_plugin_version = 1;

/* Far beyond the last system call of Linux, which answers it with ENOSYS. */
#define READ_COUNTERS 0x7f01

/* The order is the one of Counts in count_instructions.py. */
enum counter { ALL, SIMD, LOAD_STORE, DOT, COUNTERS };

static uint64_t executed[COUNTERS];

/* Of the guest's memory in this process: where the guest's address 0 would be. */
static uintptr_t guest_base;

/* Groups are told by bits 28 to 25: "Top-level encodings for A64" in Arm's Architecture Reference
 * Manual. Loads and stores of vector registers are loads and stores. */
static bool is_simd(uint32_t word) { return (word >> 25 & 7) == 7; }
static bool is_load_store(uint32_t word) { return (word >> 25 & 5) == 4; }

/* sdot, udot and usdot of vectors, the same by element, and smmla, ummla and usmmla. */
static bool is_dot(uint32_t word) {
  return (word & 0x9fe0f400) == 0x0e809400 || (word & 0x9fc0e400) == 0x0f80e000 ||
         (word & 0xdfe0f400) == 0x4e80a400;
}

/* A block of instructions without a branch in its middle has been translated. */
static void count_block(qemu_plugin_id_t id, struct qemu_plugin_tb *block) {
  (void)id;
  uint64_t found[COUNTERS] = {qemu_plugin_tb_n_insns(block)};
  for (size_t index = 0; index < found[ALL]; index++) {
    uint32_t word;
    memcpy(&word, qemu_plugin_insn_data(qemu_plugin_tb_get_insn(block, index)), sizeof word);
    found[SIMD] += is_simd(word);
    found[LOAD_STORE] += is_load_store(word);
    found[DOT] += is_dot(word);
  }
  struct qemu_plugin_insn *first = qemu_plugin_tb_get_insn(block, 0);
  guest_base = (uintptr_t)qemu_plugin_insn_haddr(first) - qemu_plugin_insn_vaddr(first);
  for (size_t counter = 0; counter < COUNTERS; counter++)
    if (found[counter])
      qemu_plugin_register_vcpu_tb_exec_inline(block, QEMU_PLUGIN_INLINE_ADD_U64,
                                               &executed[counter], found[counter]);
}

static void answer(qemu_plugin_id_t id, unsigned int vcpu, int64_t number, uint64_t address,
                   uint64_t a2, uint64_t a3, uint64_t a4, uint64_t a5, uint64_t a6, uint64_t a7,
                   uint64_t a8) {
  (void)id, (void)vcpu, (void)a2, (void)a3, (void)a4, (void)a5, (void)a6, (void)a7, (void)a8;
  if (number == READ_COUNTERS) memcpy((void *)(guest_base + address), executed, sizeof executed);
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc,
                               char **argv) {
  (void)info, (void)argc, (void)argv;
  qemu_plugin_register_vcpu_tb_trans_cb(id, count_block);
  qemu_plugin_register_vcpu_syscall_cb(id, answer);
  return 0;
}
