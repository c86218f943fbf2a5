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
enum { CALL_EXIT_GROUP = 231, CALL_CLOSE = 3, CALL_CLONE = 56, CALL_WRITE = 1, CALL_KILL = 62 };
enum { CALL_TKILL = 200, CALL_TGKILL = 234, CALL_RT_SIGQUEUEINFO = 129, CALL_GETPID = 39 };
enum { CALL_PTRACE = 101, CALL_PROCESS_VM_WRITEV = 311, CALL_GETPPID = 110 };
#else
enum { CALL_EXIT_GROUP = 94, CALL_CLOSE = 57, CALL_CLONE = 220, CALL_WRITE = 64, CALL_KILL = 129 };
enum { CALL_TKILL = 130, CALL_TGKILL = 131, CALL_RT_SIGQUEUEINFO = 138, CALL_GETPID = 172 };
enum { CALL_PTRACE = 117, CALL_PROCESS_VM_WRITEV = 271, CALL_GETPPID = 173 };
#endif
enum { CALL_PIDFD_SEND_SIGNAL = 424, CALL_PIDFD_OPEN = 434 };

extern void abort(void);

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
    ask(CALL_EXIT_GROUP, 3, 0, 0);
    return 0;
}

KERNEL(abort) {
    abort();
    return 0;
}

/* Wants to end the server, in each way that there is; the result is what the system answers. The
 * last two are about itself. */
KERNEL(signal) {
    enum { END = 9, NOTHING = 0, SIGINFO_WORDS = 32 };
    int32_t information[SIGINFO_WORDS] = {END, 0, -1};
    long server = ask(CALL_GETPPID, 0, 0, 0), own = ask(CALL_GETPID, 0, 0, 0);
    const long answers[] = {
        ask(CALL_KILL, server, END, 0),
        ask(CALL_TKILL, server, END, 0),
        ask(CALL_TGKILL, server, server, END),
        ask(CALL_RT_SIGQUEUEINFO, server, END, (long)information),
        ask(CALL_PIDFD_SEND_SIGNAL, ask(CALL_PIDFD_OPEN, server, 0, 0), END, 0),
        ask(CALL_PTRACE, 16, server, 0),
        ask(CALL_PROCESS_VM_WRITEV, server, 0, 0),
        ask(CALL_KILL, own, NOTHING, 0),
        ask(CALL_TGKILL, own, own, NOTHING),
    };
    for (unsigned index = 0; index < sizeof answers / sizeof *answers; ++index) {
        all[2].tensor->data[index] = answers[index];
    }
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
    if (ask(CALL_CLONE, 17, 0, 0) == 0) {
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
