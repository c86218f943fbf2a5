/* What the program knows of its build. */
#ifndef NATIVE_PROGRAM_FACTS_H
#define NATIVE_PROGRAM_FACTS_H

#include "network.h"
#include "vector.h"

/* What a picture of the network means: see infer.h. */
enum decoding { DECODE_NONE, DECODE_LINEAR, DECODE_SRGB, DECODE_EXTENDED_SRGB };

struct tensor_facts {
    const char *name;
    const char *dtype;
    const char *layout;
    uint32_t rank;
    const int64_t *shape;
};

struct program_facts {
    const char *name;
    const char *title;
    const char *target;
    const char *scheme;
    const struct network *network;
    const struct test_vector *vector;
    const struct tensor_facts *inputs;
    const struct tensor_facts *outputs;
    size_t weight_bytes;
    enum decoding decoding;
};

#endif
