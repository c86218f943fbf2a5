/* A session of the native RPC server whose client says what comes on standard input, and reads the
 * answers without a look at them: for sanitizers, and for bytes that make no sense. */
#include <signal.h>
#include <stdio.h>

#include "session.h"

enum { MOST_INPUT = 8 << 20 };

static int ends[2];
static uint8_t input[MOST_INPUT];
static size_t size;

static void *say(void *unused) {
    wire_write(ends[0], input, size);
    shutdown(ends[0], SHUT_WR);
    return unused;
}

static void *listen_on(void *unused) {
    uint8_t some[4096];
    while (recv(ends[0], some, sizeof some, 0) > 0) {
    }
    return unused;
}

int main(void) {
    static struct session session;
    _Atomic int activity = 0;
    pthread_t threads[2];
    signal(SIGPIPE, SIG_IGN);
    size = fread(input, 1, sizeof input, stdin);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0) {
        return 2;
    }
    pthread_create(&threads[0], NULL, say, NULL);
    pthread_create(&threads[1], NULL, listen_on, NULL);
    session.connection = ends[1];
    session.most_bytes = 16 << 20;
    session.activity = &activity;
    session.runtime.wanted = 1;
    serve_session(&session);
    close(ends[1]);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    puts("all is as it should be");
    return 0;
}
