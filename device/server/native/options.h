/* The options of the command line. */
#ifndef NATIVE_SERVER_OPTIONS_H
#define NATIVE_SERVER_OPTIONS_H

#include "address.h"
#include "version.h"

enum { LONGEST_KEY = 200 };

struct options {
    const char *key;
    struct address tracker;
    int has_tracker;
    struct address host;
    const char *host_name;
    unsigned port;
    size_t most_bytes;
};

static const char HELP[] =
    "usage: " SERVER_NAME " [--tracker HOST:PORT] [--key KEY] [--host HOST] [--port PORT]\n"
    "                        [--most-megabytes MB]\n"
    "\n"
    "Offer this machine to a TVM tracker under a key, until Ctrl-C: for tuning, and for timing\n"
    "kernels by TVM's RPC. It needs neither TVM nor Python here.\n"
    "\n"
    "WARNING: it runs the machine code that it is sent, with the rights of this process: whoever\n"
    "reaches the port owns the account. There is no password and nothing is encrypted. It takes\n"
    "connections from this machine only, unless --host says otherwise.\n"
    "\n"
    "  --tracker HOST:PORT    the TVM tracker; without it, clients come straight to the port\n"
    "  --key KEY              name that the tracker knows this machine by\n"
    "  --host HOST            address of this machine to take connections at (127.0.0.1)\n"
    "  --port PORT            port there, 0 for any (9090)\n"
    "  --most-megabytes MB    of a message, and of all that a client uploads (256)\n"
    "  --version              the version, and that of TVM's protocol\n"
    "  --help                 this text\n"
    "\n"
    "through USB, to an Android phone (on the computer that measures):\n"
    "  python -m tvm.exec.rpc_tracker --host 127.0.0.1 --port 9190\n"
    "  adb push " SERVER_NAME " /data/local/tmp/\n"
    "  adb reverse tcp:9190 tcp:9190 && adb forward tcp:9090 tcp:9090\n"
    "  adb shell /data/local/tmp/" SERVER_NAME " --tracker 127.0.0.1:9190 --key my-phone\n";

static void print_and_end(const char *text) {
    fputs(text, stdout);
    flush_output();
    exit(0);
}

static unsigned long read_number(const char *option, const char *text, unsigned long least,
                                 unsigned long most) {
    char *end;
    unsigned long number = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || number < least || number > most) {
        refuse("error: %s %s is not a number from %lu to %lu", option, text, least, most);
    }
    return number;
}

/* "HOST:PORT", or "[HOST]:PORT" where the host has colons itself. */
static void read_tracker(const char *text, struct address *address) {
    char host[256];
    const char *colon = strrchr(text, ':');
    size_t size = colon == NULL ? 0 : (size_t)(colon - text);
    int is_quoted = size > 2 && text[0] == '[' && text[size - 1] == ']';
    if (size == 0 || size >= sizeof host || (!is_quoted && memchr(text, ':', size) != NULL) ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1)) {
        refuse("error: tracker %s is not HOST:PORT, such as 127.0.0.1:9190", text);
    }
    snprintf(host, sizeof host, "%.*s", (int)(is_quoted ? size - 2 : size),
             is_quoted ? text + 1 : text);
    unsigned port = (unsigned)read_number("the port of --tracker", colon + 1, 1, 65535);
    if (!find_address(host, port, address)) {
        refuse("error: host %s of --tracker is not known here: name it by its number", host);
    }
}

/* TVM's protocol ends a key at the first blank, and a tracker is told it in JSON. */
static void check_key(const char *key) {
    for (const char *at = key; *at != '\0'; ++at) {
        if ((unsigned char)*at <= ' ' || *at == '"' || *at == '\\' || *at == 0x7f) {
            refuse("error: key %s has to be one word without quotes, such as my-board", key);
        }
    }
    if (strlen(key) > LONGEST_KEY) {
        refuse("error: a key has %d characters at most", LONGEST_KEY);
    }
}

static struct options read_options(int argc, char **argv) {
    struct options options = {.key = NULL, .host_name = "127.0.0.1", .port = 9090,
                              .most_bytes = (size_t)256 << 20};
    const char *tracker = NULL;
    for (int index = 1; index < argc; index += 2) {
        const char *option = argv[index], *value = argv[index + 1];
        if (strcmp(option, "--help") == 0 || strcmp(option, "-h") == 0) {
            print_and_end(HELP);
        } else if (strcmp(option, "--version") == 0) {
            print_and_end(SERVER_NAME " " SERVER_VERSION ", TVM's RPC " PROTOCOL "\n");
        } else if (strcmp(option, "--tracker") != 0 && strcmp(option, "--key") != 0 &&
                   strcmp(option, "--host") != 0 && strcmp(option, "--port") != 0 &&
                   strcmp(option, "--most-megabytes") != 0) {
            refuse("error: there is no option %s; --help lists them all", option);
        } else if (value == NULL) {
            refuse("error: option %s needs a value", option);
        } else if (strcmp(option, "--tracker") == 0) {
            tracker = value;
        } else if (strcmp(option, "--key") == 0) {
            options.key = value;
        } else if (strcmp(option, "--host") == 0) {
            options.host_name = value;
        } else if (strcmp(option, "--port") == 0) {
            options.port = (unsigned)read_number(option, value, 0, 65535);
        } else {
            options.most_bytes = (size_t)read_number(option, value, 1, 1 << 20) << 20;
        }
    }
    if (tracker != NULL) {
        options.has_tracker = 1;
        read_tracker(tracker, &options.tracker);
    }
    if (tracker != NULL && (options.key == NULL || options.key[0] == '\0')) {
        refuse("error: tracker %s knows machines by a key: add --key", tracker);
    }
    options.key = options.key == NULL ? "" : options.key;
    check_key(options.key);
    if (!find_address(options.host_name, options.port, &options.host)) {
        refuse("error: host %s is not known here: name it by its number", options.host_name);
    }
    if (tracker != NULL && is_loopback(&options.host) && !is_loopback(&options.tracker)) {
        refuse("error: tracker %s is another machine and --host %s takes connections from this "
               "one only: bring the tracker here by ssh -R or adb reverse, or give --host this "
               "machine's own address on a trusted network",
               tracker, options.host_name);
    }
    return options;
}

#endif
