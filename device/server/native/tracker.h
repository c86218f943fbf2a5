/* Tells a tracker of TVM that this machine is free, by a key that is used once.
 *
 * A tracker takes messages of JSON behind their length. One that is lost is asked again, for as
 * long as the server runs. */
#ifndef NATIVE_SERVER_TRACKER_H
#define NATIVE_SERVER_TRACKER_H

#include <sys/random.h>
#include <time.h>

#include "options.h"

enum {
    TRACKER_MAGIC = 0x2f271,
    TRACKER_PUT = 3,
    TRACKER_INTRODUCE = 5,
    TRACKER_PENDING = 7,
    SECONDS_OF_TRACKER = 5,
    SECONDS_TO_USE_KEY = 6,
    LONGEST_ANSWER = 1 << 16,
};

struct tracker {
    const struct options *options;
    unsigned port;
    int connection; /* -1: none */
    char match_key[LONGEST_KEY + 40]; /* that the next client has to know; "": nobody is let in */
    long given_away; /* second since when nobody has come with the key; 0: it is there */
    int is_lost; /* and that was said */
};

static long now_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (long)now.tv_sec;
}

/* A new key: nobody guesses it. */
static void choose_match_key(struct tracker *tracker) {
    uint64_t words[2] = {0};
    if (getrandom(words, sizeof words, 0) != sizeof words) {
        words[0] = (uint64_t)now_seconds() ^ (uintptr_t)&words << 20;
    }
    snprintf(tracker->match_key, sizeof tracker->match_key, "%s:0.%016llx%016llx",
             tracker->options->key, (unsigned long long)words[0], (unsigned long long)words[1]);
}

/* Sends a message and reads the answer to it; -1 where the tracker is lost. */
static int tracker_ask(struct tracker *tracker, const char *message, char *answer) {
    uint32_t size = (uint32_t)strlen(message);
    if (wire_write(tracker->connection, &size, sizeof size) != 0 ||
        wire_write(tracker->connection, message, size) != 0 ||
        wire_read(tracker->connection, &size, sizeof size) != 0 || size >= LONGEST_ANSWER ||
        wire_read(tracker->connection, answer, size) != 0) {
        return -1;
    }
    answer[size] = '\0';
    return 0;
}

static int tracker_offer(struct tracker *tracker, char *answer) {
    char message[2 * sizeof tracker->match_key + 64];
    choose_match_key(tracker);
    tracker->given_away = 0;
    snprintf(message, sizeof message, "[%d, \"%s\", [%u, \"%s\"], null]", TRACKER_PUT,
             tracker->options->key, tracker->port, tracker->match_key);
    return tracker_ask(tracker, message, answer);
}

static int tracker_connect(struct tracker *tracker, char *answer) {
    char message[LONGEST_KEY + 80];
    uint32_t magic = TRACKER_MAGIC, theirs = 0;
    tracker->connection = connect_to(&tracker->options->tracker, SECONDS_OF_TRACKER);
    snprintf(message, sizeof message, "[%d, {\"key\": \"server:%s\", \"addr\": [null, %u]}]",
             TRACKER_INTRODUCE, tracker->options->key, tracker->port);
    if (tracker->connection < 0 ||
        wire_write(tracker->connection, &magic, sizeof magic) != 0 ||
        wire_read(tracker->connection, &theirs, sizeof theirs) != 0) {
        return -1;
    }
    if (theirs != magic) {
        errno = EPROTO;
        return -1;
    }
    return tracker_ask(tracker, message, answer);
}

/* Another key, where the tracker has given the last one away and nobody came with it. */
static int tracker_keep_offering(struct tracker *tracker, char *answer) {
    char message[16];
    snprintf(message, sizeof message, "[%d]", TRACKER_PENDING);
    if (tracker_ask(tracker, message, answer) != 0) {
        return -1;
    }
    if (strstr(answer, tracker->match_key) != NULL) {
        tracker->given_away = 0;
        return 0;
    }
    if (tracker->given_away == 0) {
        tracker->given_away = now_seconds();
    }
    return now_seconds() - tracker->given_away > SECONDS_TO_USE_KEY
               ? tracker_offer(tracker, answer)
               : 0;
}

/* Says once that the tracker is gone, and once that it is back. */
static void tracker_say(struct tracker *tracker, int is_lost) {
    if (is_lost && !tracker->is_lost) {
        fprintf(stderr, "%s: the tracker at %s does not answer: asking again\n",
                tracker->options->key, tracker->options->tracker.text);
    } else if (!is_lost && tracker->is_lost) {
        fprintf(stderr, "%s: the tracker is back\n", tracker->options->key);
    }
    tracker->is_lost = is_lost;
}

/* Offers the machine anew where `is_free` has just become true, else keeps what is offered. */
static void tracker_tell(struct tracker *tracker, int is_free) {
    static char answer[LONGEST_ANSWER];
    if (!tracker->options->has_tracker) {
        snprintf(tracker->match_key, sizeof tracker->match_key, "%s", tracker->options->key);
        return;
    }
    if (tracker->match_key[0] == '\0') {
        choose_match_key(tracker); /* So that nobody is let in meanwhile without one. */
    }
    int failed = 1;
    /* One that was started anew is asked at once. */
    for (int tries = tracker->connection < 0 ? 1 : 2; tries > 0 && failed; --tries) {
        int is_new = tracker->connection < 0;
        failed = (is_new && tracker_connect(tracker, answer) != 0) ||
                 (is_new || is_free ? tracker_offer(tracker, answer) != 0
                                    : tracker_keep_offering(tracker, answer) != 0);
        if (failed && tracker->connection >= 0) {
            close(tracker->connection);
            tracker->connection = -1;
        }
        tracker_say(tracker, failed);
    }
}

/* Ends the program where no tracker is there to begin with. */
static void check_tracker(const struct options *options) {
    struct tracker tracker = {.options = options};
    uint32_t magic = TRACKER_MAGIC, theirs = 0;
    errno = 0;
    tracker.connection = connect_to(&options->tracker, SECONDS_OF_TRACKER);
    if (tracker.connection < 0 || wire_write(tracker.connection, &magic, sizeof magic) != 0 ||
        wire_read(tracker.connection, &theirs, sizeof theirs) != 0) {
        refuse("error: no TVM tracker answers at %s (%s): start one there by python -m "
               "tvm.exec.rpc_tracker --host 127.0.0.1, or mend --tracker",
               options->tracker.text, errno == 0 ? "it says nothing" : strerror(errno));
    }
    if (theirs != magic) {
        refuse("error: what answers at %s is no TVM tracker: mend --tracker (trackers use port "
               "9190 unless told otherwise, a device's own port is another one)",
               options->tracker.text);
    }
    close(tracker.connection);
}

#endif
