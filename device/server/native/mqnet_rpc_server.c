/* Serves this machine to clients of TVM's RPC: one static program, without TVM and Python.
 *
 * The server takes connections and tells a tracker when it is free (greetings.h, tracker.h). Each
 * client gets a process of its own (watch.h), which answers its messages (session.h, requests.h,
 * services.h), loads what it uploads (library.h) and calls and times it (stopwatch.h). */
#include "program/whole_file.h"
#include "watch.h"

WHOLE_FILE("mqnet-rpc-server");

enum { SECONDS_TO_PING = 2 };

static struct greeting greetings[MOST_GREETINGS];

/* Waits for the client that the tracker sends, whatever else connects meanwhile; 0 where the
 * server is stopped, or whoever reads what it says has gone, as adb and ssh do with their cable. */
static int next_client(int listener, struct tracker *tracker, const sigset_t *while_waiting,
                       struct client *client) {
    struct timespec patience = {SECONDS_TO_PING, 0};
    long asked = now_seconds();
    tracker_tell(tracker, 1);
    while (!is_stopped) {
        struct pollfd events[MOST_GREETINGS + 2] = {{.fd = listener, .events = POLLIN}};
        struct pollfd *reader = &events[MOST_GREETINGS + 1];
        reader->fd = STDERR_FILENO;
        for (int index = 0; index < MOST_GREETINGS; ++index) {
            events[index + 1] =
                (struct pollfd){.fd = greetings[index].connection, .events = POLLIN};
        }
        if (ppoll(events, MOST_GREETINGS + 2, &patience, while_waiting) > 0) {
            if (reader->revents & (POLLERR | POLLHUP)) {
                return 0;
            }
            for (int index = 0; index < MOST_GREETINGS; ++index) {
                if (events[index + 1].revents != 0 &&
                    greeting_listen(&greetings[index], tracker, client)) {
                    return 1;
                }
            }
            if (events[0].revents != 0) {
                greeting_accept(greetings, listener);
            }
        }
        long now = now_seconds();
        for (int index = 0; index < MOST_GREETINGS; ++index) {
            if (greetings[index].until < now) {
                greeting_end(&greetings[index]);
            }
        }
        if (now - asked >= SECONDS_TO_PING) {
            tracker_tell(tracker, 0);
            asked = now;
        }
    }
    return 0;
}

int main(int argc, char **argv) {
    struct options options = read_options(argc, argv);
    sigset_t while_waiting;
    if (options.has_tracker) {
        check_tracker(&options);
    }
    int listener = listen_at(&options.host);
    unsigned port = bound_port(listener);
    struct tracker tracker = {.options = &options, .port = port, .connection = -1};
    struct client client;
    for (int index = 0; index < MOST_GREETINGS; ++index) {
        greetings[index].connection = -1;
    }
    prepare_signals(&while_waiting);
    fprintf(stderr, "%s%swaiting at %s:%u, Ctrl-C ends it\n", options.key,
            options.key[0] == '\0' ? "" : ": ", options.host_name, port);
    while (next_client(listener, &tracker, &while_waiting, &client)) {
        serve_client(&client, &options, &while_waiting);
    }
    fputs("stopped\n", stderr);
    return 130;
}
