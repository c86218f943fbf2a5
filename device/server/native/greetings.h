/* Connections that have not said yet who they are. Each has a few seconds: whoever connects and
 * says nothing, as a port scanner does, keeps nobody out. */
#ifndef NATIVE_SERVER_GREETINGS_H
#define NATIVE_SERVER_GREETINGS_H

#include "tracker.h"

enum {
    RPC_MAGIC = 0xff271,
    RPC_MISMATCH = RPC_MAGIC + 2,
    MOST_GREETINGS = 64,
    SECONDS_TO_SAY = 10,
    LONGEST_GREETING = 1024,
};

struct greeting {
    int connection; /* -1: none */
    long until; /* second */
    uint32_t used;
    char said[8 + LONGEST_GREETING + 1];
    char from[INET6_ADDRSTRLEN];
};

/* A client that was let in. */
struct client {
    int connection;
    double most_seconds; /* 0: no limit */
    char from[INET6_ADDRSTRLEN];
};

/* Bytes that are to come, as far as they can be known; -1 for what is no handshake. */
static int greeting_missing(const struct greeting *greeting) {
    uint32_t magic = RPC_MAGIC, size;
    uint32_t known = greeting->used < sizeof magic ? greeting->used : sizeof magic;
    if (memcmp(greeting->said, &magic, known) != 0) {
        return -1;
    }
    if (greeting->used < 8) {
        return (int)(8 - greeting->used);
    }
    memcpy(&size, greeting->said + 4, sizeof size);
    return size == 0 || size > LONGEST_GREETING ? -1 : (int)(8 + size - greeting->used);
}

static void greeting_end(struct greeting *greeting) {
    if (greeting->connection >= 0) {
        close(greeting->connection);
        greeting->connection = -1;
    }
}

/* Takes a connection in the place of the oldest one, where there are too many. */
static void greeting_accept(struct greeting *greetings, int listener) {
    struct sockaddr_storage place;
    socklen_t size = sizeof place;
    int connection = accept4(listener, (struct sockaddr *)&place, &size, SOCK_CLOEXEC);
    if (connection < 0) {
        return; /* It has gone again. */
    }
    struct greeting *chosen = &greetings[0];
    for (int index = 0; index < MOST_GREETINGS && chosen->connection >= 0; ++index) {
        struct greeting *one = &greetings[index];
        chosen = one->connection < 0 || one->until < chosen->until ? one : chosen;
    }
    greeting_end(chosen);
    chosen->connection = connection;
    chosen->until = now_seconds() + SECONDS_TO_SAY;
    chosen->used = 0;
    if (getnameinfo((struct sockaddr *)&place, size, chosen->from, sizeof chosen->from, NULL, 0,
                    NI_NUMERICHOST) != 0) {
        snprintf(chosen->from, sizeof chosen->from, "a client");
    }
}

/* Asks the kernel to find out within 90 seconds that a client is gone without a word. */
static void watch_connection(int connection) {
    int yes = 1, idle = 30, interval = 10, count = 6;
    setsockopt(connection, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
    setsockopt(connection, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    setsockopt(connection, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    setsockopt(connection, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
    setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

/* Lets the client in that has said all, where it knows the key; 1 where it does. */
static int greeting_answer(struct greeting *greeting, struct tracker *tracker,
                           struct client *client) {
    char expected[sizeof tracker->match_key + 8], key[LONGEST_KEY + 16];
    char *words = greeting->said + 8, *rest = NULL;
    uint32_t code[2] = {RPC_MISMATCH, 0};
    greeting->said[greeting->used] = '\0';
    snprintf(expected, sizeof expected, "client:%s", tracker->match_key);
    char *first = strtok_r(words, " \t\r\n", &rest);
    int is_known = first != NULL && strcmp(first, expected) == 0;
    wire_set_patience(greeting->connection, SECONDS_OF_TRACKER);
    if (!is_known) {
        wire_write(greeting->connection, code, sizeof *code);
        greeting_end(greeting);
        return 0;
    }
    *client = (struct client){.connection = greeting->connection};
    memcpy(client->from, greeting->from, sizeof client->from);
    for (char *word; (word = strtok_r(NULL, " \t\r\n", &rest)) != NULL;) {
        if (strncmp(word, "-timeout=", 9) == 0) {
            client->most_seconds = strtod(word + 9, NULL);
        }
    }
    code[0] = RPC_MAGIC;
    code[1] = (uint32_t)snprintf(key, sizeof key, "server:%s", tracker->options->key);
    if (wire_write(greeting->connection, code, sizeof code) != 0 ||
        wire_write(greeting->connection, key, code[1]) != 0) {
        greeting_end(greeting);
        return 0;
    }
    watch_connection(greeting->connection);
    greeting->connection = -1;
    tracker->match_key[0] = '\0';
    return 1;
}

/* Reads what has come, and no byte more than the handshake: what follows is for the session. 1
 * where this is the client that was waited for. */
static int greeting_listen(struct greeting *greeting, struct tracker *tracker,
                           struct client *client) {
    int missing = greeting_missing(greeting);
    ssize_t count = recv(greeting->connection, greeting->said + greeting->used, (size_t)missing,
                         MSG_DONTWAIT);
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) {
        return 0;
    }
    if (count <= 0) {
        greeting_end(greeting);
        return 0;
    }
    greeting->used += (uint32_t)count;
    missing = greeting_missing(greeting);
    if (missing < 0) {
        greeting_end(greeting);
    }
    return missing == 0 ? greeting_answer(greeting, tracker, client) : 0;
}

#endif
