/* Bytes to and from a connection: all of them or a failure, and never longer than its time limit
 * without a byte. */
#ifndef NATIVE_SERVER_WIRE_H
#define NATIVE_SERVER_WIRE_H

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

enum { WIRE_CLOSED = -1, DISCARD_BYTES = 1 << 16 };

/* How long a call on the connection waits for the other side. */
static void wire_set_patience(int connection, int seconds) {
    struct timeval limit = {.tv_sec = seconds};
    setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(connection, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

/* Sleeps until the other side says something or has gone. */
static void wire_wait(int connection) {
    struct pollfd event = {.fd = connection, .events = POLLIN};
    while (poll(&event, 1, -1) < 0 && errno == EINTR) {
    }
}

static int wire_read(int connection, void *to, size_t bytes) {
    uint8_t *next = to;
    while (bytes > 0) {
        ssize_t count = recv(connection, next, bytes, 0);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            return WIRE_CLOSED;
        }
        next += count;
        bytes -= (size_t)count;
    }
    return 0;
}

static int wire_write(int connection, const void *from, size_t bytes) {
    const uint8_t *next = from;
    while (bytes > 0) {
        ssize_t count = send(connection, next, bytes, MSG_NOSIGNAL);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count <= 0) {
            return WIRE_CLOSED;
        }
        next += count;
        bytes -= (size_t)count;
    }
    return 0;
}

/* Reads bytes that nobody wants, so that the other side gets to read the answer. */
static int wire_discard(int connection, uint64_t bytes) {
    static uint8_t unwanted[DISCARD_BYTES];
    while (bytes > 0) {
        size_t some = bytes < sizeof unwanted ? (size_t)bytes : sizeof unwanted;
        if (wire_read(connection, unwanted, some) != 0) {
            return WIRE_CLOSED;
        }
        bytes -= some;
    }
    return 0;
}

#endif
