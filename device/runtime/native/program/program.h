/* NAME-run: the network as one program. The generated source gives its facts to `run_program`. */
#ifndef NATIVE_PROGRAM_PROGRAM_H
#define NATIVE_PROGRAM_PROGRAM_H

#include "bench.h"
#include "check.h"
#include "infer.h"
#include "info.h"

static const char HELP[] =
    "%s-run bench [--threads 1,2,4] [--seconds 10] [--warm-up 1] [--cores all] [--cool CELSIUS]\n"
    "          [--json [--times]]\n"
    "                          how long a frame takes\n"
    "%s-run check [--threads 1,2] [--cores all] [--json]\n"
    "                          whether a frame is what the compiler computed\n"
    "%s-run infer IN.ppm OUT.pfm [--threads 1] [--cores all]\n"
    "                          linear light of a photograph\n"
    "%s-run info [--json]      what this was built from\n"
    "\n"
    "--cores takes all, big, mid, little, or numbers such as 4-7.\n";

static int run_program(const struct program_facts *facts, int argc, char **argv) {
    const char *command = argc < 2 ? "" : argv[1];
    if (strcmp(command, "help") == 0 || strcmp(command, "--help") == 0 ||
        strcmp(command, "-h") == 0) {
        printf(HELP, facts->name, facts->name, facts->name, facts->name);
        flush_output();
        return 0;
    }
    static const struct {
        const char *name;
        int (*run)(const struct program_facts *, const struct options *);
        unsigned paths;
    } commands[] = {{"bench", bench_main, 0},
                    {"check", check_main, 0},
                    {"infer", infer_main, 2},
                    {"info", info_main, 0}};
    for (size_t index = 0; index < sizeof commands / sizeof *commands; ++index) {
        if (strcmp(command, commands[index].name) != 0) {
            continue;
        }
        struct options options = read_options(argc - 2, argv + 2, facts->network->most_threads);
        if (options.path_count > commands[index].paths) {
            refuse("%s takes no %s", command, options.paths[0]);
        }
        /* Of a GPU it is told when the network is opened. */
        const char *missing = missing_feature(facts->network);
        if (missing != NULL && commands[index].run != info_main) {
            refuse("this processor lacks %s, which %s-run was built for: build it for this "
                   "processor",
                   missing, facts->name);
        }
        return commands[index].run(facts, &options);
    }
    refuse("%s%sthe command is bench, check, infer, info or help", command,
           *command == '\0' ? "" : " is no command: ");
}

#endif
