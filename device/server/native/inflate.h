/* Unpacks what gzip has packed, as TVM does with the object files that it uploads (RFC 1951 and
 * 1952). */
#ifndef NATIVE_SERVER_INFLATE_H
#define NATIVE_SERVER_INFLATE_H

#include "image.h"

enum {
    MOST_CODES = 288,
    MOST_CODE_BITS = 15,
    GZIP_HEAD = 10,
    GZIP_TAIL = 8,
    GZIP_CHECKSUM_OF_HEAD = 2,
    GZIP_EXTRA = 4,
    GZIP_NAME = 8,
    GZIP_COMMENT = 16,
};

struct unpacking {
    const uint8_t *from, *end;
    uint32_t bits; /* that were read and not used, the next one lowest */
    int bit_count;
    uint8_t *to;
    size_t used, room;
    int is_bad;
};

/* Codes of one alphabet: how many there are of each length, and their symbols in order. */
struct codes {
    uint16_t counts[MOST_CODE_BITS + 1];
    uint16_t symbols[MOST_CODES];
};

static unsigned take_bits(struct unpacking *state, int count) {
    while (state->bit_count < count) {
        if (state->from == state->end) {
            state->is_bad = 1;
            return 0;
        }
        state->bits |= (uint32_t)*state->from++ << state->bit_count;
        state->bit_count += 8;
    }
    unsigned found = state->bits & ((1u << count) - 1);
    state->bits >>= count;
    state->bit_count -= count;
    return found;
}

static void make_codes(struct codes *codes, const uint8_t *lengths, int count) {
    uint16_t starts[MOST_CODE_BITS + 2] = {0};
    memset(codes, 0, sizeof *codes);
    for (int symbol = 0; symbol < count; ++symbol) {
        codes->counts[lengths[symbol]] += 1;
    }
    codes->counts[0] = 0;
    for (int bits = 1; bits <= MOST_CODE_BITS; ++bits) {
        starts[bits + 1] = (uint16_t)(starts[bits] + codes->counts[bits]);
    }
    for (int symbol = 0; symbol < count; ++symbol) {
        if (lengths[symbol] != 0) {
            codes->symbols[starts[lengths[symbol]]++] = (uint16_t)symbol;
        }
    }
}

/* The next symbol: codes of one length follow each other, and those of the next one behind them. */
static unsigned take_symbol(struct unpacking *state, const struct codes *codes) {
    int code = 0, first = 0, index = 0;
    for (int bits = 1; bits <= MOST_CODE_BITS && !state->is_bad; ++bits) {
        code |= (int)take_bits(state, 1);
        int count = codes->counts[bits];
        if (code - first < count) {
            return codes->symbols[index + code - first];
        }
        index += count;
        first = (first + count) << 1;
        code <<= 1;
    }
    state->is_bad = 1;
    return 0;
}

static void put_byte(struct unpacking *state, uint8_t byte) {
    if (state->used == state->room) {
        state->is_bad = 1;
    } else {
        state->to[state->used++] = byte;
    }
}

/* Bytes that were not packed. */
static void unpack_stored(struct unpacking *state) {
    state->bits = 0;
    state->bit_count = 0;
    unsigned size = take_bits(state, 16), inverse = take_bits(state, 16);
    state->is_bad |= (size ^ inverse) != 0xffff;
    while (size-- > 0 && !state->is_bad) {
        put_byte(state, (uint8_t)take_bits(state, 8));
    }
}

static void unpack_block(struct unpacking *state, const struct codes *letters,
                         const struct codes *distances) {
    static const uint16_t length_starts[] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,
                                             15, 17, 19, 23, 27, 31, 35, 43, 51,  59,
                                             67, 83, 99, 115, 131, 163, 195, 227, 258};
    static const uint8_t length_bits[] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2,
                                          2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0};
    while (!state->is_bad) {
        unsigned symbol = take_symbol(state, letters);
        if (symbol < 256) {
            put_byte(state, (uint8_t)symbol);
            continue;
        }
        if (symbol == 256) {
            return;
        }
        symbol -= 257;
        unsigned place = symbol < sizeof length_bits ? take_bits(state, length_bits[symbol]) : 0;
        unsigned step = symbol < sizeof length_bits ? take_symbol(state, distances) : 30;
        if (state->is_bad || step >= 30) {
            break;
        }
        unsigned length = length_starts[symbol] + place;
        int more = step < 4 ? 0 : (int)(step / 2) - 1;
        unsigned distance = step < 4 ? step + 1 : ((2u + step % 2) << more) + 1;
        distance += take_bits(state, more);
        if (distance > state->used) {
            break;
        }
        while (length-- > 0 && !state->is_bad) {
            put_byte(state, state->to[state->used - distance]);
        }
    }
    state->is_bad = 1;
}

static void unpack_fixed(struct unpacking *state) {
    uint8_t lengths[MOST_CODES];
    struct codes letters, distances;
    for (int symbol = 0; symbol < MOST_CODES; ++symbol) {
        lengths[symbol] = symbol < 144 ? 8 : symbol < 256 ? 9 : symbol < 280 ? 7 : 8;
    }
    make_codes(&letters, lengths, MOST_CODES);
    memset(lengths, 5, 30);
    make_codes(&distances, lengths, 30);
    unpack_block(state, &letters, &distances);
}

static void unpack_dynamic(struct unpacking *state) {
    static const uint8_t order[] = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                    11, 4,  12, 3, 13, 2, 14, 1, 15};
    uint8_t lengths[320 + 138] = {0};
    struct codes letters, distances;
    unsigned letter_count = take_bits(state, 5) + 257, distance_count = take_bits(state, 5) + 1;
    unsigned count = take_bits(state, 4) + 4, wanted = letter_count + distance_count;
    for (unsigned index = 0; index < count; ++index) {
        lengths[order[index]] = (uint8_t)take_bits(state, 3);
    }
    make_codes(&letters, lengths, 19);
    memset(lengths, 0, sizeof lengths);
    for (unsigned index = 0; index < wanted && !state->is_bad;) {
        unsigned symbol = take_symbol(state, &letters);
        if (symbol < 16) {
            lengths[index++] = (uint8_t)symbol;
            continue;
        }
        uint8_t again = symbol == 16 && index > 0 ? lengths[index - 1] : 0;
        unsigned times = symbol == 16   ? 3 + take_bits(state, 2)
                         : symbol == 17 ? 3 + take_bits(state, 3)
                                        : 11 + take_bits(state, 7);
        memset(lengths + index, again, times);
        index += times;
    }
    if (state->is_bad || letter_count > MOST_CODES || distance_count > 30) {
        state->is_bad = 1;
        return;
    }
    make_codes(&letters, lengths, (int)letter_count);
    make_codes(&distances, lengths + letter_count, (int)distance_count);
    unpack_block(state, &letters, &distances);
}

/* Where the packed bytes begin; NULL where it is no gzip file. */
static const uint8_t *gzip_content(const struct file_view *file) {
    const uint8_t *head = file_part(file, 0, GZIP_HEAD + GZIP_TAIL);
    static const uint8_t magic[] = {0x1f, 0x8b, 8};
    if (head == NULL || memcmp(head, magic, sizeof magic) != 0) {
        return NULL;
    }
    const uint8_t *at = head + GZIP_HEAD, *end = file->bytes + file->size - GZIP_TAIL;
    if (head[3] & GZIP_EXTRA && end - at >= 2) {
        at += 2 + at[0] + 256 * at[1];
    }
    for (int text = GZIP_NAME; text <= GZIP_COMMENT; text *= 2) {
        if (head[3] & text && at < end) {
            const uint8_t *zero = memchr(at, 0, (size_t)(end - at));
            at = zero == NULL ? end : zero + 1;
        }
    }
    at += head[3] & GZIP_CHECKSUM_OF_HEAD ? 2 : 0;
    return at < end ? at : NULL;
}

static int is_packed(const struct file_view *file) {
    return gzip_content(file) != NULL;
}

/* Unpacks the file into memory, which is to be freed. */
static int unpack(const struct file_view *file, struct file_view *unpacked,
                  struct failure *failure) {
    uint32_t size;
    memcpy(&size, file->bytes + file->size - 4, sizeof size);
    uint8_t *memory = size > MOST_IMAGE_BYTES ? NULL : malloc((size_t)size + 1);
    if (memory == NULL) {
        return fail(failure, "it is damaged, or too large to be unpacked");
    }
    struct unpacking state = {.from = gzip_content(file),
                              .end = file->bytes + file->size - GZIP_TAIL,
                              .to = memory,
                              .room = size};
    unsigned is_last = 0;
    while (!is_last && !state.is_bad) {
        is_last = take_bits(&state, 1);
        switch (take_bits(&state, 2)) {
        case 0: unpack_stored(&state); break;
        case 1: unpack_fixed(&state); break;
        case 2: unpack_dynamic(&state); break;
        default: state.is_bad = 1;
        }
    }
    if (state.is_bad || state.used != size) {
        free(memory);
        return fail(failure, "it is damaged or truncated (gzip)");
    }
    *unpacked = (struct file_view){memory, size};
    return 0;
}

#endif
