/* One message of TVM's RPC: read from the bytes that came, or put together to be sent.
 *
 * A message is its length (64 bits), a code (32 bits) and what belongs to the code, all in the
 * byte order of the little-endian machines that are served. Reading never leaves the message: what
 * would is zeros, and `is_short` is set. */
#ifndef NATIVE_SERVER_MESSAGE_H
#define NATIVE_SERVER_MESSAGE_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum message_code {
    CODE_SHUTDOWN = 1,
    CODE_BEGIN = 2,
    CODE_CALL = 3,
    CODE_RETURN = 4,
    CODE_EXCEPTION = 5,
    CODE_COPY_FROM = 6,
    CODE_COPY_TO = 7,
    CODE_COPY_DATA = 8,
    CODE_FIND_FUNCTION = 9,
    CODE_FREE_HANDLE = 10,
    CODE_SET_DEVICE = 11,
    CODE_DEVICE_FACT = 12,
    CODE_TAKE_MEMORY = 13,
    CODE_GIVE_MEMORY = 14,
    CODE_WAIT_FOR_STREAM = 15,
    CODE_COPY_THERE = 16,
    CODE_TAKE_TENSOR = 17,
    CODE_MAKE_STREAM = 18,
    CODE_FREE_STREAM = 19,
    CODE_SET_STREAM = 20,
    CODE_GET_STREAM = 21,
};

struct incoming {
    const uint8_t *bytes;
    size_t size;
    size_t at;
    int is_short;
};

/* The next bytes, in place; NULL where the message has fewer. */
static const uint8_t *incoming_skip(struct incoming *message, uint64_t bytes) {
    if (message->is_short || bytes > message->size - message->at) {
        message->is_short = 1;
        return NULL;
    }
    const uint8_t *found = message->bytes + message->at;
    message->at += (size_t)bytes;
    return found;
}

static void incoming_read(struct incoming *message, void *to, size_t bytes) {
    const uint8_t *from = incoming_skip(message, bytes);
    if (from == NULL) {
        memset(to, 0, bytes);
    } else {
        memcpy(to, from, bytes);
    }
}

static uint32_t incoming_u32(struct incoming *message) {
    uint32_t found;
    incoming_read(message, &found, sizeof found);
    return found;
}

static uint64_t incoming_u64(struct incoming *message) {
    uint64_t found;
    incoming_read(message, &found, sizeof found);
    return found;
}

/* A message to be sent: its first 8 bytes are its length. Without memory it stays as it is, and
 * `is_lost` is set. */
struct outgoing {
    uint8_t *bytes;
    size_t used;
    size_t room;
    int is_lost;
};

static void outgoing_add(struct outgoing *message, const void *from, size_t bytes) {
    if (message->room - message->used < bytes) {
        size_t room = (message->used + bytes) * 2 + 256;
        uint8_t *larger = bytes > SIZE_MAX / 4 ? NULL : realloc(message->bytes, room);
        if (larger == NULL) {
            message->is_lost = 1;
            return;
        }
        message->bytes = larger;
        message->room = room;
    }
    if (bytes != 0) {
        memcpy(message->bytes + message->used, from, bytes);
    }
    message->used += bytes;
}

static void outgoing_u32(struct outgoing *message, uint32_t number) {
    outgoing_add(message, &number, sizeof number);
}

static void outgoing_u64(struct outgoing *message, uint64_t number) {
    outgoing_add(message, &number, sizeof number);
}

static void outgoing_begin(struct outgoing *message, enum message_code code) {
    message->used = 0;
    message->is_lost = 0;
    outgoing_u64(message, 0);
    outgoing_u32(message, code);
}

/* Writes the length, of which `more` bytes follow that are sent by themselves. */
static void outgoing_end(struct outgoing *message, uint64_t more) {
    uint64_t length = message->used - sizeof length + more;
    if (!message->is_lost) {
        memcpy(message->bytes, &length, sizeof length);
    }
}

#endif
