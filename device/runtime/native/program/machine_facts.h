/* What the kernel tells of the machine: cores and how fast they are, and how hot it is. */
#ifndef NATIVE_PROGRAM_MACHINE_FACTS_H
#define NATIVE_PROGRAM_MACHINE_FACTS_H

#include <ctype.h>
#include <limits.h>
#include <string.h>

#include "say.h"
#include "system.h"

enum { MOST_CORES = 64, MOST_ZONES = 64, TEXT_BYTES = 64 };

/* The first line of a file, without its end; 0 where it cannot be read. */
static int read_line(const char *path, char *text, size_t bytes) {
    text[0] = '\0';
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return 0;
    }
    int found = fgets(text, (int)bytes, file) != NULL;
    fclose(file);
    text[strcspn(text, "\n")] = '\0';
    return found;
}

/* A number in a file about a core; -1 where there is none. */
static long core_number(unsigned core, const char *file) {
    char path[128], text[TEXT_BYTES];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/%s", core, file);
    return read_line(path, text, sizeof text) ? strtol(text, NULL, 10) : -1;
}

/* Cores of the first 64 that this thread may use. */
static uint64_t usable_cores(void) {
    uint64_t cores[MASK_WORDS] = {0};
    return syscall(SYS_sched_getaffinity, 0, sizeof cores, cores) > 0 ? cores[0] : 1;
}

/* How fast a core is beside others: by the scheduler's capacity, else by its highest frequency. */
static long core_speed(unsigned core) {
    long capacity = core_number(core, "cpu_capacity");
    return capacity > 0 ? capacity : core_number(core, "cpufreq/cpuinfo_max_freq");
}

/* Cores that are the fastest ("big"), the slowest ("little"), or neither ("mid"). */
static uint64_t cores_of_kind(const char *kind, uint64_t usable) {
    long most = -1, least = LONG_MAX;
    for (unsigned core = 0; core < MOST_CORES; ++core) {
        if (usable >> core & 1) {
            long speed = core_speed(core);
            most = speed > most ? speed : most;
            least = speed < least ? speed : least;
        }
    }
    uint64_t found = 0;
    for (unsigned core = 0; core < MOST_CORES; ++core) {
        long speed = usable >> core & 1 ? core_speed(core) : 0;
        int wanted = strcmp(kind, "big") == 0      ? speed == most
                     : strcmp(kind, "little") == 0 ? speed == least
                                                   : speed != most && speed != least;
        found |= (uint64_t)((usable >> core & 1) && wanted) << core;
    }
    return found;
}

/* Cores by name ("all", "big", "mid", "little") or by number ("0", "4-7", "0,2-3"). */
static uint64_t choose_cores(const char *text) {
    uint64_t usable = usable_cores(), wanted = 0;
    if (strcmp(text, "all") == 0) {
        return usable;
    }
    if (strcmp(text, "big") == 0 || strcmp(text, "mid") == 0 || strcmp(text, "little") == 0) {
        wanted = cores_of_kind(text, usable);
        if (wanted == 0) {
            refuse("--cores %s: this machine has no such cores", text);
        }
        return wanted;
    }
    for (const char *at = text; *at != '\0' || at == text;) {
        char *end;
        unsigned long first = strtoul(at, &end, 10), last = first;
        if (isdigit((unsigned char)*at) && *end == '-' && isdigit((unsigned char)end[1])) {
            last = strtoul(end + 1, &end, 10);
        }
        if (!isdigit((unsigned char)*at) || (*end != ',' && *end != '\0') || first > last) {
            refuse("--cores %s is neither all, big, mid, little nor numbers, such as 4-7", text);
        }
        if (last >= MOST_CORES) {
            refuse("--cores %s: cores have numbers from 0 to %d here", text, MOST_CORES - 1);
        }
        for (unsigned long core = first; core <= last; ++core) {
            wanted |= 1ull << core;
        }
        at = *end == ',' ? end + 1 : end;
    }
    if ((wanted & ~usable) != 0) {
        refuse("--cores %s: this program may not use all of those cores", text);
    }
    return wanted;
}

struct zone {
    char type[TEXT_BYTES];
    double celsius;
};

struct core_state {
    unsigned core;
    long kilohertz; /* -1 where the kernel does not tell */
    long most_kilohertz;
    char governor[TEXT_BYTES];
};

struct machine_state {
    struct core_state cores[MOST_CORES];
    struct zone zones[MOST_ZONES];
    unsigned core_count;
    unsigned zone_count;
};

static void read_state(uint64_t cores, struct machine_state *state) {
    state->core_count = state->zone_count = 0;
    for (unsigned core = 0; core < MOST_CORES; ++core) {
        if (!(cores >> core & 1)) {
            continue;
        }
        struct core_state *found = &state->cores[state->core_count++];
        char path[128];
        snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/cpufreq/scaling_governor", core);
        found->core = core;
        found->kilohertz = core_number(core, "cpufreq/scaling_cur_freq");
        found->most_kilohertz = core_number(core, "cpufreq/cpuinfo_max_freq");
        read_line(path, found->governor, sizeof found->governor);
    }
    for (unsigned number = 0; number < MOST_ZONES; ++number) {
        struct zone *zone = &state->zones[state->zone_count];
        char path[128], text[TEXT_BYTES];
        snprintf(path, sizeof path, "/sys/class/thermal/thermal_zone%u/temp", number);
        if (!read_line(path, text, sizeof text)) {
            continue;
        }
        zone->celsius = strtod(text, NULL) / 1000;
        snprintf(path, sizeof path, "/sys/class/thermal/thermal_zone%u/type", number);
        read_line(path, zone->type, sizeof zone->type);
        state->zone_count += 1;
    }
}

/* The highest temperature of all zones that are about a processor; of all where none is. */
static double hottest(const struct machine_state *state) {
    double of_processor = -1, of_all = -1;
    for (unsigned index = 0; index < state->zone_count; ++index) {
        const struct zone *zone = &state->zones[index];
        of_all = zone->celsius > of_all ? zone->celsius : of_all;
        if (strstr(zone->type, "cpu") != NULL || strstr(zone->type, "CPU") != NULL) {
            of_processor = zone->celsius > of_processor ? zone->celsius : of_processor;
        }
    }
    return of_processor >= 0 ? of_processor : of_all;
}

#endif
