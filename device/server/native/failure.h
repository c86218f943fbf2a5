/* The sentence that says why a request was refused; the client reads it. */
#ifndef NATIVE_SERVER_FAILURE_H
#define NATIVE_SERVER_FAILURE_H

#include <stdarg.h>
#include <stdio.h>

struct failure {
    char text[512];
};

/* Writes the sentence; always -1, so that a function can end with it. */
__attribute__((format(printf, 2, 3))) static int fail(struct failure *failure, const char *format,
                                                      ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(failure->text, sizeof failure->text, format, arguments);
    va_end(arguments);
    return -1;
}

#endif
