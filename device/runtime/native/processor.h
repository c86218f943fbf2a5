/* Whether the processor has the instructions that the kernels were compiled to. */
#ifndef NATIVE_PROCESSOR_H
#define NATIVE_PROCESSOR_H

#include "network.h"

#if defined(__x86_64__)
#include <cpuid.h>

enum { OSXSAVE_BIT = 27 };

/* XCR0: which registers the operating system keeps. */
static uint32_t kept_registers(void) {
    uint32_t words[4] = {0};
    if (!__get_cpuid(1, &words[0], &words[1], &words[2], &words[3]) ||
        !(words[2] >> OSXSAVE_BIT & 1)) {
        return 0;
    }
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

/* `word` counts EAX, EBX, ECX, EDX of CPUID's `leaf`. */
static int has_feature(const struct processor_feature *feature) {
    uint32_t words[4] = {0};
    return __get_cpuid_count(feature->leaf, feature->subleaf, &words[0], &words[1], &words[2],
                             &words[3]) &&
           (words[feature->word] >> feature->bit & 1) &&
           (kept_registers() & feature->kept) == feature->kept;
}

#elif defined(__aarch64__)
#include <sys/auxv.h>

/* `leaf` is AT_HWCAP or AT_HWCAP2. */
static int has_feature(const struct processor_feature *feature) {
    return (int)(getauxval(feature->leaf) >> feature->bit & 1);
}
#endif

/* The first feature that is missing; NULL where the processor has all. */
static const char *missing_feature(const struct network *network) {
    for (uint32_t index = 0; index < network->feature_count; ++index) {
        if (!has_feature(&network->features[index])) {
            return network->features[index].name;
        }
    }
    return NULL;
}

#endif
