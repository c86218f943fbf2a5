/* What the library asks of the operating system. It is all the same in glibc, musl and bionic: no
 * structure of a C library is in it, so one object serves all of them. */
#ifndef NATIVE_SYSTEM_H
#define NATIVE_SYSTEM_H

#include <limits.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FUTEX_WAIT_PRIVATE_OP = 128, FUTEX_WAKE_PRIVATE_OP = 129, MASK_WORDS = 16 };

/* Memory of zeros that takes no room before it is written to; NULL where there is none. */
static void *system_map(size_t bytes) {
    void *found = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return found == MAP_FAILED ? NULL : found;
}

static void system_unmap(void *start, size_t bytes) {
    munmap(start, bytes);
}

/* Sleeps until `word` is woken, unless it is no longer `value`. */
static void system_wait(atomic_uint *word, unsigned value) {
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE_OP, value, NULL, NULL, 0);
}

static void system_wake(atomic_uint *word) {
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE_OP, INT_MAX, NULL, NULL, 0);
}

/* Cores that the calling thread may use, and how many of the first 64 `mask` names (0: all). */
static unsigned system_cores(uint64_t mask) {
    uint64_t cores[MASK_WORDS] = {0};
    if (syscall(SYS_sched_getaffinity, 0, sizeof cores, cores) <= 0) {
        return 1;
    }
    unsigned count = 0;
    for (int word = 0; word < MASK_WORDS; ++word) {
        uint64_t wanted = mask == 0 ? UINT64_MAX : word == 0 ? mask : 0;
        count += (unsigned)__builtin_popcountll(cores[word] & wanted);
    }
    return count;
}

/* Keeps the calling thread on the cores that `mask` names. */
static void system_bind(uint64_t mask) {
    uint64_t cores[MASK_WORDS] = {mask};
    if (mask != 0) {
        syscall(SYS_sched_setaffinity, 0, sizeof cores, cores);
    }
}

static inline void system_relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

#endif
