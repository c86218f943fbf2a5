/* Kernels as a search may come upon them: they crash, hang, lie, write anywhere, or leave. */
#include <stdint.h>

struct tensor {
    float *data;
};
struct any {
    int32_t type, padding;
    struct tensor *tensor;
};

#define KERNEL(name)                                                                               \
    int __tvm_ffi_##name(void *self, const struct any *all, int count, void *result)

/* Asks the system without a C library. */
static long ask(long number, long first, long second, long third) {
#if defined(__x86_64__)
    long answer;
    __asm__ volatile("syscall" : "=a"(answer) : "a"(number), "D"(first), "S"(second), "d"(third)
                     : "rcx", "r11", "memory");
    return answer;
#else
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = first;
    register long x1 __asm__("x1") = second, x2 __asm__("x2") = third;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    return x0;
#endif
}

#if defined(__x86_64__)
enum { CALL_EXIT = 231, CALL_CLOSE = 3, CALL_FORK = 57, CALL_WRITE = 1, CALL_KILL = 62 };
#else
enum { CALL_EXIT = 94, CALL_CLOSE = 57, CALL_FORK = 220, CALL_WRITE = 64, CALL_KILL = 129 };
#endif

KERNEL(add) {
    for (int index = 0; index < 64; ++index) {
        all[2].tensor->data[index] = all[0].tensor->data[index] + all[1].tensor->data[index];
    }
    return 0;
}

KERNEL(lie) {
    all[2].tensor->data[0] = -1;
    return 0;
}

KERNEL(crash) {
    *(volatile int *)8 = 1;
    return 0;
}

KERNEL(hang) {
    for (volatile uint64_t spins = 0;; ++spins) {
    }
}

/* Writes over all memory around its result, until there is none. */
KERNEL(scribble) {
    for (volatile float *at = all[2].tensor->data;; ++at) {
        *at = 1;
    }
}

static int deep(volatile int *before) {
    volatile int here[1024];
    here[0] = *before + 1;
    return deep(here) + here[0];
}

KERNEL(overflow) {
    volatile int none = 0;
    return deep(&none);
}

KERNEL(leave) {
    ask(CALL_EXIT, 3, 0, 0);
    return 0;
}

/* Closes all files of its process, and with them the connection. */
KERNEL(close) {
    for (long file = 0; file < 64; ++file) {
        ask(CALL_CLOSE, file, 0, 0);
    }
    return 0;
}

/* Says to the client what no server says. */
KERNEL(babble) {
    static const char words[] = "what is this? it is no message";
    for (long file = 3; file < 64; ++file) {
        ask(CALL_WRITE, file, (long)words, sizeof words);
    }
    return 0;
}

/* Leaves a process behind that never ends. */
KERNEL(fork) {
    if (ask(CALL_FORK, 17, 0, 0) == 0) {
        for (;;) {
        }
    }
    return 0;
}

KERNEL(fail) {
    return -1;
}

KERNEL(strange) {
    *(struct any *)result = (struct any){68, 0, (struct tensor *)result};
    return 0;
}

/* What a tuner calls is one of them. */
#ifndef BAD
#define BAD add
#endif
#define CALLED(name) __tvm_ffi_##name(self, all, count, result)
#define CALL(name) CALLED(name)

KERNEL(main) {
    return CALL(BAD);
}
