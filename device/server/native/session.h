/* A session: answers one message of TVM's RPC after the other, until the client goes.
 *
 * Whatever a client sends is answered with a result or with a sentence. The session ends where the
 * connection does, or where what came can be no message. */
#ifndef NATIVE_SERVER_SESSION_H
#define NATIVE_SERVER_SESSION_H

#include "requests.h"
#include "wire.h"

enum { SECONDS_WITHIN_MESSAGE = 60 };

/* More than this of a message that is too large is not waited for. */
static const uint64_t MOST_DISCARDED = (uint64_t)1 << 36;

static int send_failure(struct session *session) {
    size_t size = strlen(session->failure.text);
    outgoing_begin(&session->answer, CODE_EXCEPTION);
    outgoing_u32(&session->answer, 1);
    outgoing_u32(&session->answer, TYPE_TEXT);
    outgoing_u64(&session->answer, size);
    outgoing_add(&session->answer, session->failure.text, size);
    outgoing_end(&session->answer, 0);
    return session->answer.is_lost ? WIRE_CLOSED : 0;
}

/* Sends the answer and what belongs behind it. */
static int send_answer(struct session *session, const struct payload *payload) {
    atomic_store(session->activity, ACTIVITY_ANSWERS);
    if (wire_write(session->connection, session->answer.bytes, session->answer.used) != 0 ||
        wire_write(session->connection, payload->bytes, payload->size) != 0) {
        return WIRE_CLOSED;
    }
    free(payload->owned);
    atomic_store(session->activity, ACTIVITY_WAITS);
    return 0;
}

/* Answers the message; 0, or WIRE_CLOSED where the session is over. */
static int answer_message(struct session *session, struct incoming *message) {
    struct payload payload = {0};
    uint32_t code = incoming_u32(message);
    if (code == CODE_SHUTDOWN) {
        return WIRE_CLOSED;
    }
    atomic_store(session->activity, ACTIVITY_WORKS);
    if (answer_request(session, code, message, &payload) != 0) {
        free(payload.owned);
        payload = (struct payload){0};
        if (send_failure(session) != 0) {
            return WIRE_CLOSED;
        }
    }
    return send_answer(session, &payload);
}

static int refuse_message(struct session *session, uint64_t size) {
    struct payload none = {0};
    fail(&session->failure, "a message of %" PRIu64 " bytes: %zu are the most that this server "
                            "takes (--most-megabytes)",
         size, session->most_bytes);
    if (size > MOST_DISCARDED) {
        send_failure(session);
        send_answer(session, &none);
        return WIRE_CLOSED;
    }
    if (wire_discard(session->connection, size) != 0 || send_failure(session) != 0) {
        return WIRE_CLOSED;
    }
    return send_answer(session, &none);
}

/* Serves the connection until it ends. */
static void serve_session(struct session *session) {
    uint8_t *buffer = NULL;
    size_t room = 0;
    int is_over = 0;
    wire_set_patience(session->connection, SECONDS_WITHIN_MESSAGE);
    while (!is_over) {
        uint64_t size;
        /* Between messages a client may be silent for as long as it likes. */
        wire_wait(session->connection);
        if (wire_read(session->connection, &size, sizeof size) != 0) {
            break;
        }
        if (size > session->most_bytes) {
            is_over = refuse_message(session, size) != 0;
            continue;
        }
        if (size > room) {
            free(buffer);
            room = (size_t)size;
            buffer = malloc(room);
        }
        if (size == 0) {
            continue;
        }
        if (buffer == NULL) {
            room = 0;
            is_over = wire_discard(session->connection, size) != 0;
            fail(&session->failure, "no memory is left on the device");
            struct payload none = {0};
            is_over = is_over || send_failure(session) != 0 || send_answer(session, &none) != 0;
            continue;
        }
        if (wire_read(session->connection, buffer, (size_t)size) != 0) {
            break;
        }
        struct incoming message = {.bytes = buffer, .size = (size_t)size};
        is_over = answer_message(session, &message) != 0;
    }
    free(buffer);
}

#endif
