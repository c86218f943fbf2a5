/* Texts in JSON. */
#ifndef NATIVE_PROGRAM_JSON_H
#define NATIVE_PROGRAM_JSON_H

#include <stdio.h>

static void print_text(const char *text) {
    putchar('"');
    for (; *text != '\0'; ++text) {
        unsigned char byte = (unsigned char)*text;
        if (byte < 0x20 || byte == '"' || byte == '\\') {
            printf("\\u%04x", byte);
        } else {
            putchar(byte);
        }
    }
    putchar('"');
}

#endif
