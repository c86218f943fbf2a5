/* Keeps kernels of a session from ending or changing other processes, the server among them: what
 * sends a signal to another process, or writes into one, is refused by the system.
 *
 * The kernel of the system sees numbers and no intentions, so nothing else is denied: a kernel that
 * wants to do harm still has the rights of whoever started the server. */
#ifndef NATIVE_SERVER_SIGNAL_FILTER_H
#define NATIVE_SERVER_SIGNAL_FILTER_H

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define OWN_ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OWN_ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

enum { CALL_PIDFD_SEND_SIGNAL = 424, FIRST_X32_CALL = 0x40000000, MOST_STEPS = 64 };

/* To a process that the first argument names. */
static const uint32_t calls_to_one[] = {
    SYS_kill, SYS_tkill, SYS_tgkill, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo,
    SYS_process_vm_writev,
};

/* The same, but of what process cannot be seen from its arguments. */
static const uint32_t calls_to_any[] = {SYS_ptrace, CALL_PIDFD_SEND_SIGNAL};

#define LOAD(field) \
    (struct sock_filter) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define SKIP(how, value, if_true, if_false) \
    (struct sock_filter) BPF_JUMP(BPF_JMP | how | BPF_K, value, if_true, if_false)
#define ANSWER(value) (struct sock_filter) BPF_STMT(BPF_RET | BPF_K, value)

/* Denies such calls to this process and to those that it starts, unless they are about itself. 0,
 * or the number of the error; 0 as well where the system has no filters, as QEMU has none. */
static int deny_signals(void) {
    struct sock_filter steps[MOST_STEPS];
    unsigned short count = 0;
    uint32_t own = (uint32_t)getpid(), refused = SECCOMP_RET_ERRNO | EPERM;
    /* Calls by the numbers of another architecture, such as 32-bit ones, are none of a kernel's. */
    steps[count++] = LOAD(arch);
    steps[count++] = SKIP(BPF_JEQ, OWN_ARCHITECTURE, 1, 0);
    steps[count++] = ANSWER(refused);
    steps[count++] = LOAD(nr);
#if defined(__x86_64__)
    steps[count++] = SKIP(BPF_JGE, FIRST_X32_CALL, 0, 1);
    steps[count++] = ANSWER(refused);
#endif
    for (size_t index = 0; index < sizeof calls_to_any / sizeof *calls_to_any; ++index) {
        steps[count++] = SKIP(BPF_JEQ, calls_to_any[index], 0, 1);
        steps[count++] = ANSWER(refused);
    }
    for (size_t index = 0; index < sizeof calls_to_one / sizeof *calls_to_one; ++index) {
        steps[count++] = SKIP(BPF_JEQ, calls_to_one[index], 0, 4);
        steps[count++] = LOAD(args[0]); /* its lower half: both are little endian */
        steps[count++] = SKIP(BPF_JEQ, own, 1, 0);
        steps[count++] = ANSWER(refused);
        steps[count++] = ANSWER(SECCOMP_RET_ALLOW);
    }
    steps[count++] = ANSWER(SECCOMP_RET_ALLOW);
    struct sock_fprog filter = {count, steps};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        return errno == EINVAL ? 0 : errno; /* Linux before 3.5 */
    }
    /* With the first flag a filter makes code no slower, as Linux before 5.16 did to guard secrets
     * of which there are none. */
    unsigned flags[] = {SECCOMP_FILTER_FLAG_SPEC_ALLOW, 0};
    int error = 0;
    for (size_t index = 0; index < sizeof flags / sizeof *flags; ++index) {
        if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags[index], &filter) == 0) {
            return 0;
        }
        error = errno;
    }
    return error == EINVAL || error == ENOSYS ? 0 : error;
}

#endif
