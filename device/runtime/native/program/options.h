/* The options of the program's commands. */
#ifndef NATIVE_PROGRAM_OPTIONS_H
#define NATIVE_PROGRAM_OPTIONS_H

#include <string.h>

#include "say.h"

enum { MOST_COUNTS = 16, MOST_PATHS = 2 };

struct options {
    unsigned threads[MOST_COUNTS]; /* what to run with, one after the other */
    unsigned thread_counts;
    double seconds;
    double warm_up_seconds;
    double cool_celsius; /* 0: do not wait */
    const char *cores;
    int json;
    int times; /* of every frame, in JSON */
    const char *paths[MOST_PATHS];
    unsigned path_count;
};

static const char *value_of(int argc, char **argv, int *index) {
    if (*index + 1 >= argc) {
        refuse("option %s needs a value", argv[*index]);
    }
    return argv[++*index];
}

static double number_of(const char *option, const char *text, double least, double most) {
    char *end;
    double number = strtod(text, &end);
    if (*text == '\0' || *end != '\0' || !(number >= least && number <= most)) {
        refuse("%s %s is not a number from %g to %g", option, text, least, most);
    }
    return number;
}

static void read_threads(const char *text, unsigned most, struct options *options) {
    const char *at = text;
    options->thread_counts = 0;
    do {
        char *end;
        unsigned long count = strtoul(at, &end, 10);
        if (end == at || *at < '0' || *at > '9' || count == 0 || count > most) {
            refuse("--threads %s: each number has to be from 1 to %u, the most that this was "
                   "built for",
                   text, most);
        }
        if ((*end != ',' && *end != '\0') || options->thread_counts == MOST_COUNTS) {
            refuse("--threads %s is not a list of %d numbers or fewer, such as 1,2,4", text,
                   MOST_COUNTS);
        }
        options->threads[options->thread_counts++] = (unsigned)count;
        at = *end == ',' ? end + 1 : end;
        if (*end == ',' && *at == '\0') {
            refuse("--threads %s ends in a comma", text);
        }
    } while (*at != '\0');
}

/* Reads what follows the command. `most_threads` is the build's limit. */
static struct options read_options(int argc, char **argv, unsigned most_threads) {
    struct options options = {.seconds = 10, .warm_up_seconds = 1, .cores = "all"};
    for (int index = 0; index < argc; ++index) {
        const char *option = argv[index];
        if (strcmp(option, "--threads") == 0) {
            read_threads(value_of(argc, argv, &index), most_threads, &options);
        } else if (strcmp(option, "--seconds") == 0) {
            options.seconds = number_of(option, value_of(argc, argv, &index), 0, 86400);
        } else if (strcmp(option, "--warm-up") == 0) {
            options.warm_up_seconds = number_of(option, value_of(argc, argv, &index), 0, 86400);
        } else if (strcmp(option, "--cool") == 0) {
            options.cool_celsius = number_of(option, value_of(argc, argv, &index), 1, 200);
        } else if (strcmp(option, "--cores") == 0) {
            options.cores = value_of(argc, argv, &index);
        } else if (strcmp(option, "--json") == 0) {
            options.json = 1;
        } else if (strcmp(option, "--times") == 0) {
            options.times = 1;
        } else if (option[0] == '-' && option[1] != '\0') {
            refuse("there is no option %s; help lists them all", option);
        } else if (options.path_count < MOST_PATHS) {
            options.paths[options.path_count++] = option;
        } else {
            refuse("%s is one argument too many", option);
        }
    }
    return options;
}

#endif
