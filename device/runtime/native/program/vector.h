/* The test vector of a build: inputs, and what the compiler computed of them without the schedules,
 * the instructions and the machine code that are checked. */
#ifndef NATIVE_PROGRAM_VECTOR_H
#define NATIVE_PROGRAM_VECTOR_H

#include <stddef.h>
#include <stdint.h>

/* Some elements of an output: of `count` the one at `step` times its number. */
struct expected_output {
    const double *values;
    size_t step;
    size_t count;
    double tolerance; /* the largest difference; 0: equal */
};

struct test_vector {
    const uint8_t *const *inputs;
    const uint64_t *digests; /* by call: 1 << 32 | CRC-32 of its results that are no floats, or 0 */
    const struct expected_output *outputs;
};

/* CRC-32 as zlib has it, of data behind others whose CRC is `crc`. */
static uint32_t crc32_of(uint32_t crc, const uint8_t *data, size_t bytes) {
    static uint32_t table[256];
    for (uint32_t byte = 0; byte < 256 && table[255] == 0; ++byte) {
        uint32_t value = byte;
        for (int bit = 0; bit < 8; ++bit) {
            value = value >> 1 ^ (0xedb88320u & (0u - (value & 1)));
        }
        table[byte] = value;
    }
    crc = ~crc;
    for (size_t at = 0; at < bytes; ++at) {
        crc = table[(crc ^ data[at]) & 0xff] ^ crc >> 8;
    }
    return ~crc;
}

#endif
