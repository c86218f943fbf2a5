/* Texts in JSON, and how each of the program's objects begins. */
#ifndef NATIVE_PROGRAM_JSON_H
#define NATIVE_PROGRAM_JSON_H

#include <stdio.h>

#include "facts.h"

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

/* The beginning of an object: what the program was built from. */
static void print_built_from(const struct program_facts *facts) {
    printf("{\n  \"network\": ");
    print_text(facts->title);
    printf(",\n  \"target\": ");
    print_text(facts->target);
    printf(",\n  \"scheme\": ");
    print_text(facts->scheme);
}

#endif
