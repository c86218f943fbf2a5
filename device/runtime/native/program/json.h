/* Texts in JSON, and how each of the program's objects begins. */
#ifndef NATIVE_PROGRAM_JSON_H
#define NATIVE_PROGRAM_JSON_H

#include <stdio.h>
#include <string.h>

#include "facts.h"

static void print_characters(const char *text, size_t count) {
    putchar('"');
    for (size_t index = 0; index < count; ++index) {
        unsigned char byte = (unsigned char)text[index];
        if (byte < 0x20 || byte == '"' || byte == '\\') {
            printf("\\u%04x", byte);
        } else {
            putchar(byte);
        }
    }
    putchar('"');
}

static void print_text(const char *text) {
    print_characters(text, strlen(text));
}

/* Texts with ", " between them. */
static void print_list(const char *text) {
    putchar('[');
    while (*text != '\0') {
        const char *end = strstr(text, ", ");
        print_characters(text, end == NULL ? strlen(text) : (size_t)(end - text));
        text = end == NULL ? "" : end + 2;
        fputs(*text == '\0' ? "" : ", ", stdout);
    }
    putchar(']');
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
