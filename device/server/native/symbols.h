/* What an uploaded library may call by name. Whatever else it names is refused when it is loaded:
 * nothing here opens a file, a connection or a process. */
#ifndef NATIVE_SERVER_SYMBOLS_H
#define NATIVE_SERVER_SYMBOLS_H

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernel_runtime.h"

struct symbol {
    const char *name;
    void *address;
};

/* Of the compiler's own library: halves, and integers of 128 bits. */
#define HELPERS(use)                                                                          \
    use(__truncsfhf2) use(__truncdfhf2) use(__extendhfsf2) use(__divti3) use(__modti3)        \
    use(__udivti3) use(__umodti3)

/* Of the C library's mathematics, each for doubles and for floats. */
#define MATHEMATICS(use)                                                                      \
    use(acos) use(acosh) use(asin) use(asinh) use(atan) use(atan2) use(atanh) use(cbrt)       \
    use(ceil) use(copysign) use(cos) use(cosh) use(erf) use(erfc) use(exp) use(exp10)         \
    use(exp2) use(expm1) use(fabs) use(floor) use(fma) use(fmax) use(fmin) use(fmod)          \
    use(frexp) use(hypot) use(ldexp) use(lgamma) use(lrint) use(lround) use(llrint)           \
    use(llround) use(log) use(log10) use(log1p) use(log2) use(modf) use(nearbyint)            \
    use(nextafter) use(pow) use(remainder) use(rint) use(round) use(sin) use(sincos)          \
    use(sinh) use(sqrt) use(tan) use(tanh) use(tgamma) use(trunc)

#define DECLARE(name) extern void name(void);
HELPERS(DECLARE)
#undef DECLARE

#define BOTH(name) {#name, (void *)(uintptr_t)name}, {#name "f", (void *)(uintptr_t)name##f},
#define ONE(name) {#name, (void *)(uintptr_t)name},
static const struct symbol functions[] = {
    MATHEMATICS(BOTH) HELPERS(ONE) ONE(memcpy) ONE(memmove) ONE(memset) ONE(memcmp) ONE(abort)
    {"TVMFFIErrorSetRaisedFromCStrParts", (void *)(uintptr_t)kernel_error},
    {"TVMFFIErrorSetRaisedFromCStr", (void *)(uintptr_t)kernel_error_text},
    {"TVMBackendParallelLaunch", (void *)(uintptr_t)launch},
    {"TVMBackendAllocWorkspace", (void *)(uintptr_t)workspace_take},
    {"TVMBackendFreeWorkspace", (void *)(uintptr_t)workspace_give_back},
};
#undef BOTH
#undef ONE

static void *find_function(const char *name) {
    for (size_t index = 0; index < sizeof functions / sizeof *functions; ++index) {
        if (strcmp(functions[index].name, name) == 0) {
            return functions[index].address;
        }
    }
    return NULL;
}

#endif
