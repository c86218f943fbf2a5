/* How the program ends with a sentence. */
#ifndef NATIVE_PROGRAM_SAY_H
#define NATIVE_PROGRAM_SAY_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { EXIT_WRONG = 1, EXIT_USER = 2 };

/* Prints one sentence to standard error and ends the program with exit code 2: for whatever the
 * user can mend. */
__attribute__((format(printf, 1, 2), noreturn)) static void refuse(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(EXIT_USER);
}

/* Ends the program where standard output took less than all, such as on a full disk. */
static void flush_output(void) {
    if (fflush(stdout) != 0 || ferror(stdout)) {
        refuse("standard output cannot be written");
    }
}

#endif
