/* bench: how long a frame takes, and what the machine was like meanwhile. */
#ifndef NATIVE_PROGRAM_BENCH_H
#define NATIVE_PROGRAM_BENCH_H

#include <time.h>

#include "facts.h"
#include "frame.h"
#include "json.h"
#include "options.h"

enum { MOST_FRAMES = 1 << 20, LEAST_FRAMES = 3, COOLING_SECONDS = 600 };

struct latency {
    unsigned threads;
    size_t frames;
    double least, p10, p50, p90; /* milliseconds */
    const double *times;         /* seconds, in their order */
};

/* Of the first frame, from the program's first line on. */
struct start {
    double milliseconds;
    size_t resident_bytes; /* the most that the process has held by then; 0 where it is not told */
};

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static int compare_times(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* The value that `part` of the sorted times lie below, between two by weight. */
static double quantile(const double *times, size_t count, double part) {
    double place = part * (double)(count - 1);
    size_t below = (size_t)place, above = below + 1 < count ? below + 1 : below;
    return times[below] + (times[above] - times[below]) * (place - (double)below);
}

static struct latency measure(const struct program_facts *facts, const struct options *options,
                              const struct frame *frame, unsigned threads, uint64_t cores) {
    double *times = take_memory(MOST_FRAMES * sizeof *times);
    uint64_t handle = open_or_refuse(facts->network, threads, cores);
    double start = now();
    do {
        run_or_refuse(facts->network, handle, frame, NULL, NULL);
    } while (now() - start < options->warm_up_seconds);
    size_t count = 0;
    start = now();
    double before = start;
    while (count < LEAST_FRAMES || (before - start < options->seconds && count < MOST_FRAMES)) {
        run_or_refuse(facts->network, handle, frame, NULL, NULL);
        double after = now();
        times[count++] = after - before;
        before = after;
    }
    handle_close(handle);
    double *sorted = take_memory(count * sizeof *sorted);
    memcpy(sorted, times, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare_times);
    struct latency found = {threads,
                            count,
                            sorted[0] * 1e3,
                            quantile(sorted, count, 0.1) * 1e3,
                            quantile(sorted, count, 0.5) * 1e3,
                            quantile(sorted, count, 0.9) * 1e3,
                            times};
    free(sorted);
    return found;
}

/* The most memory that this process has held. */
static size_t most_resident_bytes(void) {
    FILE *file = fopen("/proc/self/status", "r");
    char line[TEXT_BYTES];
    unsigned long kilobytes = 0;
    while (file != NULL && kilobytes == 0 && fgets(line, sizeof line, file) != NULL) {
        sscanf(line, "VmHWM: %lu kB", &kilobytes);
    }
    if (file != NULL) {
        fclose(file);
    }
    return kilobytes * 1024;
}

static struct start run_first_frame(const struct program_facts *facts, const struct frame *frame,
                                    unsigned threads, uint64_t cores, double begin) {
    uint64_t handle = open_or_refuse(facts->network, threads, cores);
    run_or_refuse(facts->network, handle, frame, NULL, NULL);
    struct start found = {(now() - begin) * 1e3, most_resident_bytes()};
    handle_close(handle);
    return found;
}

/* Waits until the machine is as cool as the user wants it; 0 where it never was. */
static int wait_to_cool(double celsius, uint64_t cores, struct machine_state *state) {
    double start = now();
    for (;;) {
        read_state(cores, state);
        if (celsius <= 0 || hottest(state) <= celsius) {
            return 1;
        }
        if (now() - start > COOLING_SECONDS) {
            return 0;
        }
        struct timespec second = {1, 0};
        nanosleep(&second, NULL);
    }
}

static void print_state(const char *name, const struct machine_state *state) {
    printf(",\n  \"%s\": {\"cores\": [", name);
    for (unsigned index = 0; index < state->core_count; ++index) {
        const struct core_state *core = &state->cores[index];
        printf("%s{\"core\": %u, \"khz\": %ld, \"max_khz\": %ld, \"governor\": ",
               index == 0 ? "" : ", ", core->core, core->kilohertz, core->most_kilohertz);
        print_text(core->governor);
        putchar('}');
    }
    printf("], \"zones\": [");
    for (unsigned index = 0; index < state->zone_count; ++index) {
        printf("%s{\"type\": ", index == 0 ? "" : ", ");
        print_text(state->zones[index].type);
        printf(", \"celsius\": %.1f}", state->zones[index].celsius);
    }
    printf("]}");
}

static void say_state(const char *when, const struct machine_state *state) {
    for (unsigned index = 0; index < state->core_count; ++index) {
        const struct core_state *core = &state->cores[index];
        if (core->kilohertz > 0) {
            printf("%s: core %u at %.0f of %.0f MHz, %s\n", when, core->core,
                   (double)core->kilohertz / 1e3, (double)core->most_kilohertz / 1e3,
                   core->governor);
        }
    }
    if (hottest(state) > 0) {
        printf("%s: %.1f degrees Celsius\n", when, hottest(state));
    }
}

static void print_latencies(const struct program_facts *facts, const struct options *options,
                            const struct start *start, const struct latency *found, unsigned count,
                            const struct machine_state *before, const struct machine_state *after) {
    if (!options->json) {
        printf("start: first frame after %.1f ms, %.1f MB in memory\n", start->milliseconds,
               (double)start->resident_bytes / 1e6);
        say_state("before", before);
        printf("threads  frames      min      p10      p50      p90 ms\n");
        for (unsigned index = 0; index < count; ++index) {
            printf("%7u %7zu %8.3f %8.3f %8.3f %8.3f\n", found[index].threads, found[index].frames,
                   found[index].least, found[index].p10, found[index].p50, found[index].p90);
        }
        say_state("after", after);
        return;
    }
    print_built_from(facts);
    printf(",\n  \"cores\": ");
    print_text(options->cores);
    printf(",\n  \"start_ms\": %.3f, \"resident_bytes\": %zu", start->milliseconds,
           start->resident_bytes);
    printf(",\n  \"latency\": [");
    for (unsigned index = 0; index < count; ++index) {
        printf("%s\n    {\"threads\": %u, \"frames\": %zu, \"min_ms\": %.4f, \"p10_ms\": %.4f, "
               "\"p50_ms\": %.4f, \"p90_ms\": %.4f",
               index == 0 ? "" : ",", found[index].threads, found[index].frames, found[index].least,
               found[index].p10, found[index].p50, found[index].p90);
        for (size_t frame = 0; options->times && frame < found[index].frames; ++frame) {
            printf("%s%.4f", frame == 0 ? ", \"times_ms\": [" : ", ",
                   found[index].times[frame] * 1e3);
        }
        printf(options->times ? "]}" : "}");
    }
    printf("\n  ]");
    print_state("before", before);
    print_state("after", after);
    printf("\n}\n");
}

static int bench_main(const struct program_facts *facts, const struct options *options) {
    double begin = now();
    const struct network *network = facts->network;
    uint64_t cores = choose_cores(options->cores);
    system_bind(cores);
    struct frame frame = make_frame(network);
    for (uint32_t index = 0; index < network->input_count; ++index) {
        memcpy(frame.inputs[index].data, facts->vector->inputs[index], frame.inputs[index].bytes);
    }
    struct options wanted = *options;
    unsigned most = system_cores(cores);
    most = most < network->most_threads ? most : network->most_threads;
    for (unsigned threads = 1; options->thread_counts == 0 && threads <= most; threads *= 2) {
        wanted.threads[wanted.thread_counts++] = threads;
    }
    struct start start = run_first_frame(facts, &frame, wanted.threads[0], cores, begin);
    static struct machine_state before, after;
    if (!wait_to_cool(options->cool_celsius, cores, &before)) {
        refuse("the machine was not cooler than %g degrees Celsius in %d s", options->cool_celsius,
               COOLING_SECONDS);
    }
    struct latency found[MOST_COUNTS];
    for (unsigned index = 0; index < wanted.thread_counts; ++index) {
        found[index] = measure(facts, options, &frame, wanted.threads[index], cores);
    }
    read_state(cores, &after);
    print_latencies(facts, options, &start, found, wanted.thread_counts, &before, &after);
    flush_output();
    return 0;
}

#endif
