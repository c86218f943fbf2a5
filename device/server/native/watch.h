/* A client's session as a process of its own, and what becomes of it: kernels that crash, hang or
 * write anywhere end their own session, and nothing else. */
#ifndef NATIVE_SERVER_WATCH_H
#define NATIVE_SERVER_WATCH_H

#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "greetings.h"
#include "session.h"
#include "signal_filter.h"

/* A session whose client has gone ends by itself, unless a kernel runs there that never ends. */
enum { SECONDS_TO_LEAVE = 5, MOST_FILES = 1024 };

static volatile sig_atomic_t is_stopped;

static void take_signal(int number) {
    is_stopped |= number != SIGCHLD; /* SIGCHLD only ends a wait. */
}

/* Signals come only where they are waited for. */
static void prepare_signals(sigset_t *while_waiting) {
    struct sigaction action = {.sa_handler = take_signal};
    sigset_t held;
    sigemptyset(&held);
    int numbers[] = {SIGCHLD, SIGINT, SIGTERM, SIGHUP};
    for (size_t index = 0; index < sizeof numbers / sizeof *numbers; ++index) {
        sigaction(numbers[index], &action, NULL);
        sigaddset(&held, numbers[index]);
    }
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_BLOCK, &held, while_waiting);
}

/* What the session's process does: it ends with its client or with the server. */
__attribute__((noreturn)) static void run_session(const struct client *client, size_t most_bytes,
                                                  _Atomic int *activity, pid_t server) {
    static struct session session;
    sigset_t none;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0);
    sigemptyset(&none);
    int numbers[] = {SIGCHLD, SIGINT, SIGTERM, SIGHUP};
    for (size_t index = 0; index < sizeof numbers / sizeof *numbers; ++index) {
        signal(numbers[index], SIG_DFL);
    }
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (getppid() != server) {
        _exit(0);
    }
    for (int number = STDERR_FILENO + 1; number < MOST_FILES; ++number) {
        if (number != client->connection) {
            close(number);
        }
    }
    /* A kernel that crashes leaves no file behind. */
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    /* Where memory is short, this process goes first. */
    int file = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (file >= 0) {
        (void)!write(file, "1000", 4);
        close(file);
    }
    int error = deny_signals();
    if (error != 0) {
        fprintf(stderr, "%s: this system does not take a filter of calls (%s)\n", client->from,
                strerror(error));
        _exit(EXIT_FAILURE);
    }
    session.connection = client->connection;
    session.most_bytes = most_bytes;
    session.activity = activity;
    serve_session(&session);
    _exit(0);
}

/* Ends the process and all that it has started. */
static void end_session(pid_t child, int *status) {
    kill(-child, SIGKILL);
    kill(child, SIGKILL);
    while (waitpid(child, status, 0) < 0 && errno == EINTR) {
    }
}

/* How the session ended, or has to be ended. */
enum ending { ENDED_BY_ITSELF, ENDED_BY_TIME, ENDED_WITHOUT_CLIENT, ENDED_WITH_SERVER };

static enum ending wait_for_session(pid_t child, const struct client *client,
                                    const sigset_t *while_waiting, int *status) {
    struct pollfd event = {.fd = client->connection, .events = POLLRDHUP};
    int64_t begin = nanoseconds(CLOCK_MONOTONIC), limit = INT64_MAX;
    enum ending late = ENDED_BY_TIME;
    if (client->most_seconds > 0 && client->most_seconds < 1e9) {
        limit = begin + (int64_t)(client->most_seconds * 1e9);
    }
    for (;;) {
        if (waitpid(child, status, WNOHANG) == child) {
            return ENDED_BY_ITSELF;
        }
        int64_t left = limit - nanoseconds(CLOCK_MONOTONIC);
        if (is_stopped || left <= 0) {
            return is_stopped ? ENDED_WITH_SERVER : late;
        }
        struct timespec time = {left / 1000000000, left % 1000000000};
        if (ppoll(&event, 1, limit == INT64_MAX ? NULL : &time, while_waiting) > 0) {
            event.fd = -1;
            int64_t soon = nanoseconds(CLOCK_MONOTONIC) + SECONDS_TO_LEAVE * 1000000000ll;
            late = soon < limit ? ENDED_WITHOUT_CLIENT : late;
            limit = soon < limit ? soon : limit;
        }
    }
}

/* Tells the client why, where it waits for an answer, or will read one. */
static void tell_client(const struct client *client, int activity, const char *sentence) {
    static _Atomic int unused;
    static struct session last;
    struct payload none = {0};
    if (activity == ACTIVITY_ANSWERS) {
        return; /* What was begun cannot be mended. */
    }
    last.connection = client->connection;
    last.activity = &unused;
    fail(&last.failure, "%s", sentence);
    wire_set_patience(client->connection, 1);
    if (send_failure(&last) == 0) {
        send_answer(&last, &none);
    }
}

static void describe_end(enum ending ending, int status, const struct client *client, char *text,
                         size_t bytes) {
    if (ending == ENDED_BY_TIME) {
        snprintf(text, bytes, "RPCSessionTimeoutError: the session's %g s are over: call with a "
                              "larger session_timeout",
                 client->most_seconds);
    } else if (WIFSIGNALED(status)) {
        snprintf(text, bytes, "the session is over: what ran there crashed (signal %d, %s)",
                 WTERMSIG(status), strsignal(WTERMSIG(status)));
    } else {
        snprintf(text, bytes, "the session is over: what ran there ended it (exit code %d)",
                 WEXITSTATUS(status));
    }
}

/* Serves one client until it goes, its time is over, or what it runs crashes; nothing of the
 * session is left then. */
static void serve_client(const struct client *client, const struct options *options,
                         const sigset_t *while_waiting) {
    static _Atomic int *activity;
    char how[200] = "session ends";
    int status = 0;
    if (activity == NULL) {
        activity = mmap(NULL, sizeof *activity, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (activity == MAP_FAILED) {
            refuse("error: this machine gives no memory to a session");
        }
    }
    *activity = ACTIVITY_WAITS;
    fprintf(stderr, "%s: session begins\n", client->from);
    pid_t server = getpid(), child = fork();
    if (child == 0) {
        run_session(client, options->most_bytes, activity, server);
    }
    if (child < 0) {
        snprintf(how, sizeof how, "this machine gives no process to a session (%s)",
                 strerror(errno));
        tell_client(client, ACTIVITY_WAITS, how);
    } else {
        enum ending ending = wait_for_session(child, client, while_waiting, &status);
        if (ending == ENDED_BY_ITSELF) {
            kill(-child, SIGKILL);
        } else {
            end_session(child, &status);
        }
        int is_crash = ending == ENDED_BY_ITSELF && (WIFSIGNALED(status) || WEXITSTATUS(status));
        if (is_crash || ending == ENDED_BY_TIME) {
            describe_end(ending, status, client, how, sizeof how);
            tell_client(client, *activity, how);
        } else if (ending == ENDED_WITHOUT_CLIENT) {
            snprintf(how, sizeof how, "session ended: its client went away, and what ran there "
                                      "did not end");
        }
    }
    close(client->connection);
    fprintf(stderr, "%s: %s\n", client->from, how);
}

#endif
