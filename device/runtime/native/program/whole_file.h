/* Ends the program with a sentence where its file is cut short, as by a copy that was broken off.
 *
 * What lies behind the end of a file is mapped, and whoever touches it gets SIGBUS. So this runs
 * before the C library does, and all of it lies within the first page of the file: see
 * static_program.ld. A program says WHOLE_FILE("its name") once. */
#ifndef NATIVE_PROGRAM_WHOLE_FILE_H
#define NATIVE_PROGRAM_WHOLE_FILE_H

#include <elf.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FIRST_CODE __attribute__((section(".first_code"), used, visibility("hidden")))
#define FIRST_CONSTANT __attribute__((section(".first_constants")))

extern const Elf64_Ehdr __ehdr_start __attribute__((visibility("hidden")));

#if defined(__x86_64__)
__attribute__((always_inline)) static inline long first_call(long number, long a, long b, long c) {
    __asm__ volatile("syscall" : "+a"(number) : "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return number;
}

/* The C library's beginning reads RDX. */
__asm__(".pushsection .first_code, \"ax\", %progbits\n"
        ".globl whole_file_start\n"
        ".hidden whole_file_start\n"
        "whole_file_start:\n"
        "    push %rdx\n"
        "    push %rdx\n"
        "    call check_whole_file\n"
        "    pop %rdx\n"
        "    pop %rdx\n"
        "    jmp _start\n"
        ".popsection\n");

#elif defined(__aarch64__)
__attribute__((always_inline)) static inline long first_call(long number, long a, long b, long c) {
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
    return x0;
}

/* The C library's beginning may read X0. */
__asm__(".pushsection .first_code, \"ax\", %progbits\n"
        ".globl whole_file_start\n"
        ".hidden whole_file_start\n"
        "whole_file_start:\n"
        "    stp x0, x30, [sp, #-16]!\n"
        "    bl check_whole_file\n"
        "    ldp x0, x30, [sp], #16\n"
        "    b _start\n"
        ".popsection\n");
#endif

static const char own_path[] FIRST_CONSTANT = "/proc/self/exe";

/* The headers of the sections are the last of the file. */
#define WHOLE_FILE(name)                                                                      \
    static const char cut_short[] FIRST_CONSTANT = name " is cut short: copy it again\n";     \
    FIRST_CODE void check_whole_file(void) {                                                  \
        const Elf64_Ehdr *header = &__ehdr_start;                                             \
        long whole = (long)header->e_shoff + header->e_shnum * header->e_shentsize;           \
        long file = first_call(SYS_openat, AT_FDCWD, (long)own_path, O_RDONLY | O_CLOEXEC);   \
        long bytes = first_call(SYS_lseek, file, 0, SEEK_END);                                \
        first_call(SYS_close, file, 0, 0);                                                    \
        if (bytes >= 0 && bytes < whole) { /* Without /proc nobody knows. */                  \
            first_call(SYS_write, STDERR_FILENO, (long)cut_short, sizeof cut_short - 1);      \
            first_call(SYS_exit_group, 2, 0, 0);                                              \
        }                                                                                     \
    }                                                                                         \
    _Static_assert(sizeof(name) > 1, "the sentence names the program")

#endif
