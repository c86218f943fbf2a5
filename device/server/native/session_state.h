/* All that belongs to one session: what its client has taken, uploaded and loaded. */
#ifndef NATIVE_SERVER_SESSION_STATE_H
#define NATIVE_SERVER_SESSION_STATE_H

#include "memory.h"
#include "objects.h"
#include "uploads.h"

/* What the session tells the server that watches it, in memory of both. */
enum activity { ACTIVITY_WAITS, ACTIVITY_WORKS, ACTIVITY_ANSWERS };

struct session {
    int connection;
    size_t most_bytes; /* of a message, and of all uploads */
    _Atomic int *activity;
    int has_begun;
    struct memory memory;
    struct uploads uploads;
    struct objects objects;
    struct kernel_runtime runtime;
    struct values values; /* of the message that is being answered */
    struct failure failure;
    struct outgoing answer;
};

/* What a function gives back: one of TYPE_NONE, _INTEGER, _FLOAT, _TEXT, _BYTES, _FUNCTION and
 * _MODULE. The bytes are `owned`, and freed when they were sent, or belong to the session. */
struct result {
    int32_t type;
    union {
        int64_t integer;
        double number;
        uint64_t handle;
    };
    const void *bytes;
    size_t size;
    void *owned;
};

#endif
