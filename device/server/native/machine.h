/* What this machine is, in the words of device/server/machine.py. */
#ifndef NATIVE_SERVER_MACHINE_H
#define NATIVE_SERVER_MACHINE_H

#include <ctype.h>
#include <sys/auxv.h>
#include <sys/utsname.h>
#include <time.h>

#include "message.h"
#include "program/machine_facts.h"
#include "version.h"

enum { MOST_FEATURES = 512, LONGEST_CPUINFO = 1 << 20 };

/* A text that grows. */
static void text_add(struct outgoing *text, const char *more) {
    outgoing_add(text, more, strlen(more));
}

static void text_quote(struct outgoing *text, const char *words) {
    text_add(text, "\"");
    for (; *words != '\0'; ++words) {
        unsigned char byte = (unsigned char)*words;
        char escaped[8];
        if (byte < 0x20 || byte == '"' || byte == '\\') {
            snprintf(escaped, sizeof escaped, "\\u%04x", byte);
            text_add(text, escaped);
        } else {
            outgoing_add(text, words, 1);
        }
    }
    text_add(text, "\"");
}

static void text_number(struct outgoing *text, const char *name, double number, int digits) {
    char line[128];
    snprintf(line, sizeof line, ", \"%s\": %.*f", name, digits, number);
    text_add(text, line);
}

static void text_field(struct outgoing *text, const char *name, const char *words) {
    text_add(text, ", \"");
    text_add(text, name);
    text_add(text, "\": ");
    text_quote(text, words);
}

/* All of /proc/cpuinfo; "" where it cannot be read. To be freed. */
static char *read_cpuinfo(void) {
    char *text = calloc(LONGEST_CPUINFO + 1, 1);
    FILE *file = fopen("/proc/cpuinfo", "r");
    if (file != NULL) {
        if (text != NULL) {
            text[fread(text, 1, LONGEST_CPUINFO, file)] = '\0';
        }
        fclose(file);
    }
    return text;
}

/* The next line's key and value, without blanks around them; 0 at the end. */
static int next_field(char **at, char *key, char *value, size_t bytes) {
    char *line = *at, *end = line + strcspn(line, "\n");
    if (*line == '\0') {
        return 0;
    }
    *at = *end == '\0' ? end : end + 1;
    char *colon = memchr(line, ':', (size_t)(end - line));
    char *parts[2][2] = {{line, colon == NULL ? end : colon},
                         {colon == NULL ? end : colon + 1, end}};
    for (int part = 0; part < 2; ++part) {
        char *first = parts[part][0], *last = parts[part][1];
        while (first < last && isspace((unsigned char)*first)) {
            ++first;
        }
        while (last > first && isspace((unsigned char)last[-1])) {
            --last;
        }
        snprintf(part == 0 ? key : value, bytes, "%.*s", (int)(last - first), first);
    }
    return 1;
}

struct cpu_facts {
    char name[256];
    char parts[256];
    char implementer[64];
    char features[8192]; /* of the first core */
    double megahertz; /* 0 where the kernel does not tell */
    int is_x86;
};

static int has_word(const char *words, const char *word, size_t bytes) {
    for (const char *at = words; *at != '\0'; at += strspn(at, " ")) {
        size_t length = strcspn(at, " ");
        if (length == bytes && memcmp(at, word, bytes) == 0) {
            return 1;
        }
        at += length;
    }
    return 0;
}

/* Keeps those of the words that are in `others`, too. */
static void keep_common(char *words, const char *others) {
    char *to = words;
    for (const char *at = words; *at != '\0'; at += strspn(at, " ")) {
        size_t length = strcspn(at, " ");
        if (has_word(others, at, length)) {
            memmove(to, at, length);
            to += length;
            *to++ = ' ';
        }
        at += length;
        if (*at == ' ') {
            ++at; /* What lies before it may be written over. */
        }
    }
    *to = '\0';
}

static void read_cpu(struct cpu_facts *cpu) {
    char *text = read_cpuinfo(), *at = text, key[64];
    static char value[8192];
    *cpu = (struct cpu_facts){0};
    while (at != NULL && next_field(&at, key, value, sizeof value)) {
        if ((strcmp(key, "model name") == 0 || strcmp(key, "Model") == 0) && !cpu->name[0]) {
            snprintf(cpu->name, sizeof cpu->name, "%.255s", value);
        } else if (strcmp(key, "flags") == 0 || strcmp(key, "Features") == 0) {
            if (cpu->features[0] == '\0') {
                snprintf(cpu->features, sizeof cpu->features, "%.8190s ", value);
            } else {
                keep_common(cpu->features, value);
            }
        } else if (strcmp(key, "CPU implementer") == 0 && !cpu->implementer[0]) {
            snprintf(cpu->implementer, sizeof cpu->implementer, "%.63s", value);
        } else if (strcmp(key, "CPU part") == 0 && strstr(cpu->parts, value) == NULL) {
            size_t used = strlen(cpu->parts);
            snprintf(cpu->parts + used, sizeof cpu->parts - used, "%s%.32s", used ? ", " : "",
                     value);
        } else if (strcmp(key, "cpu MHz") == 0 && cpu->megahertz == 0) {
            cpu->megahertz = strtod(value, NULL);
        }
        cpu->is_x86 |= strcmp(key, "vendor_id") == 0;
    }
    free(text);
}

/* The features by the kernel's bits: an emulator shows the text of the machine below it. */
static void read_feature_bits(struct cpu_facts *cpu) {
#if defined(__aarch64__)
    static const char *const words[] = {
        "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm jscvt fcma "
        "lrcpc dcpop sha3 sm3 sm4 asimddp sha512 sve asimdfhm dit uscat ilrcpc flagm ssbs sb paca "
        "pacg ",
        "dcpodp sve2 sveaes svepmull svebitperm svesha3 svesm4 flagm2 frint svei8mm svef32mm "
        "svef64mm svebf16 i8mm bf16 dgh rng bti mte ",
    };
    unsigned long bits[] = {getauxval(AT_HWCAP), getauxval(AT_HWCAP2)};
    size_t used = 0;
    for (int word = 0; word < 2; ++word) {
        const char *at = words[word];
        for (unsigned bit = 0; *at != '\0'; ++bit) {
            size_t length = strcspn(at, " ") + 1;
            if (bits[word] >> bit & 1) {
                memcpy(cpu->features + used, at, length);
                used += length;
            }
            at += length;
        }
    }
    cpu->features[used] = '\0';
#else
    (void)cpu;
#endif
}

static int compare_words(const void *one, const void *other) {
    return strcmp(*(char *const *)one, *(char *const *)other);
}

static void text_features(struct outgoing *text, char *words) {
    char *all[MOST_FEATURES];
    size_t count = 0;
    for (char *word = strtok(words, " "); word != NULL && count < MOST_FEATURES;
         word = strtok(NULL, " ")) {
        all[count++] = word;
    }
    qsort(all, count, sizeof *all, compare_words);
    text_add(text, ", \"features\": [");
    for (size_t index = 0; index < count; ++index) {
        text_add(text, index == 0 ? "" : ", ");
        text_quote(text, all[index]);
    }
    text_add(text, "]");
}

/* Ticks that all cores have spent, and of them idle; 0 where the kernel does not tell. */
static int machine_ticks(unsigned long long *all, unsigned long long *idle) {
    char line[256];
    unsigned long long ticks[8] = {0};
    if (!read_line("/proc/stat", line, sizeof line) ||
        sscanf(line, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &ticks[0], &ticks[1],
               &ticks[2], &ticks[3], &ticks[4], &ticks[5], &ticks[6], &ticks[7]) < 5) {
        return 0;
    }
    *idle = ticks[3] + ticks[4];
    *all = 0;
    for (int index = 0; index < 8; ++index) {
        *all += ticks[index];
    }
    return 1;
}

/* Watches for a moment how many cores work. */
static void text_busy_cores(struct outgoing *text) {
    unsigned long long all[2], idle[2];
    struct timespec moment = {0, 250000000};
    int is_told = machine_ticks(&all[0], &idle[0]);
    if (is_told) {
        nanosleep(&moment, NULL);
        is_told = machine_ticks(&all[1], &idle[1]);
    }
    if (!is_told || all[1] <= all[0]) {
        text_add(text, ", \"busy_cores\": null");
        return;
    }
    double share = 1 - (double)(idle[1] - idle[0]) / (double)(all[1] - all[0]);
    text_number(text, "busy_cores", share * (double)sysconf(_SC_NPROCESSORS_CONF), 2);
}

/* The facts as JSON. */
static void describe_machine(struct outgoing *text) {
    struct utsname system;
    struct cpu_facts cpu;
    char line[256], name[700];
    uname(&system);
    read_cpu(&cpu);
    read_line("/proc/self/comm", line, sizeof line);
    int is_emulated = strncmp(line, "qemu-", 5) == 0 ||
                      (cpu.is_x86 && strcmp(system.machine, "aarch64") == 0);
    if (is_emulated) {
        read_feature_bits(&cpu);
    }
    if (!cpu.name[0] &&
        !read_line("/sys/firmware/devicetree/base/model", cpu.name, sizeof cpu.name) &&
        cpu.implementer[0]) {
        snprintf(cpu.name, sizeof cpu.name, "%.16s, implementer %.32s, parts %.150s",
                 system.machine, cpu.implementer, cpu.parts);
    }
    snprintf(name, sizeof name, "%s%s", is_emulated ? "EMULATED by qemu-user: " : "",
             cpu.name[0] ? cpu.name : system.machine);
    long most = core_number(0, "cpufreq/cpuinfo_max_freq");
    double megahertz = most > 0 ? (double)(most / 1000) : cpu.megahertz;
    text_add(text, "{\"server\": \"" SERVER_NAME "\"");
    text_field(text, "cpu", name);
    text_field(text, "emulated", is_emulated ? "qemu-user" : "");
    text_field(text, "machine", system.machine);
    if (megahertz > 0) {
        text_number(text, "mhz", megahertz, 0);
    } else {
        text_add(text, ", \"mhz\": null");
    }
    text_features(text, cpu.features);
    text_number(text, "cores", system_cores(0), 0);
    long kilobytes = sysconf(_SC_PAGESIZE) / 1024 * sysconf(_SC_PHYS_PAGES);
    text_number(text, "memory_mb", (double)(kilobytes / 1024), 0);
    text_field(text, "kernel", system.release);
    int has_governor =
        read_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", line, sizeof line);
    text_field(text, "governor", has_governor ? line : "not shown");
    text_busy_cores(text);
    text_add(text, ", \"python\": null, \"versions\": {\"apache-tvm\": null, "
                   "\"" SERVER_NAME "\": \"" SERVER_VERSION "\"}}");
}

#endif
