/* Calls kernels, once or with a stopwatch: how often, and what lies between, is as of TVM's
 * time_evaluator. */
#ifndef NATIVE_SERVER_STOPWATCH_H
#define NATIVE_SERVER_STOPWATCH_H

#include <errno.h>
#include <time.h>

#include "session_state.h"

enum { MOST_REPEATS = 1 << 20, MOST_CALLS = 1 << 30 };

static int64_t nanoseconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void rest(int64_t milliseconds) {
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    while (nanosleep(&time, &time) != 0 && errno == EINTR) {
    }
}

/* Puts a cache line after the other back into memory. */
static void flush_lines(const uint8_t *start, uint64_t bytes) {
#if defined(__x86_64__)
    const uint64_t line = 64;
#elif defined(__aarch64__)
    uint64_t caches;
    __asm__ volatile("mrs %0, ctr_el0" : "=r"(caches));
    const uint64_t line = 4ull << (caches >> 16 & 15);
#endif
    const uint8_t *end = start + bytes;
    for (start -= (uintptr_t)start % line; start < end; start += line) {
#if defined(__x86_64__)
        __builtin_ia32_clflush(start);
#elif defined(__aarch64__)
        __asm__ volatile("dc civac, %0" : : "r"(start) : "memory");
#endif
    }
#if defined(__aarch64__)
    __asm__ volatile("dsb ish" : : : "memory");
#endif
}

/* As TVM's cache_flush_cpu_non_first_arg. */
static void flush_arguments(const struct values *values) {
    for (uint32_t index = 1; index < values->count; ++index) {
        const struct abi_tensor *tensor = &values->all[index].tensor;
        if (values->all[index].type == TYPE_TENSOR) {
            flush_lines((uint8_t *)tensor->data + tensor->byte_offset, tensor_bytes(tensor));
        }
    }
}

/* Makes a kernel's arguments of a message's values, whose tensors have to lie in the session's
 * memory. */
static int kernel_arguments(struct session *session, struct abi_any *arguments) {
    struct values *values = &session->values;
    for (uint32_t index = 0; index < values->count; ++index) {
        struct value *value = &values->all[index];
        arguments[index] = (struct abi_any){.type_index = value->type};
        switch (value->type) {
        case TYPE_NONE:
        case TYPE_INTEGER:
        case TYPE_BOOL:
        case TYPE_FLOAT:
        case TYPE_DTYPE:
        case TYPE_DEVICE: arguments[index].value.integer = value->integer; break;
        case TYPE_TENSOR:
            if (check_tensor(&session->memory, &value->tensor, &session->failure) != 0) {
                return -1;
            }
            arguments[index].value.tensor = &value->tensor;
            break;
        default:
            return fail(&session->failure, "a kernel's argument %u is no tensor and no number",
                        index + 1);
        }
    }
    return 0;
}

static int call_kernel(struct session *session, const struct object *object,
                       struct result *result) {
    struct abi_any arguments[MOST_VALUES], returned = {0};
    if (kernel_arguments(session, arguments) != 0 ||
        runtime_start(&session->runtime, &session->failure) != 0 ||
        runtime_call(&session->runtime, object->kernel, arguments,
                     (int32_t)session->values.count, &returned, &session->failure) != 0) {
        return -1;
    }
    if (returned.type_index < TYPE_NONE || returned.type_index > TYPE_FLOAT) {
        return fail(&session->failure, "the kernel returned what cannot be sent (type %d)",
                    (int)returned.type_index);
    }
    result->type = returned.type_index;
    result->integer = returned.value.integer;
    return 0;
}

/* Calls the kernel `number` times; the nanoseconds, or -1. */
static int64_t time_calls(struct session *session, abi_kernel kernel,
                          const struct abi_any *arguments, int64_t number) {
    struct abi_any returned = {0};
    int64_t begin = nanoseconds(CLOCK_MONOTONIC);
    for (int64_t call = 0; call < number; ++call) {
        if (runtime_call(&session->runtime, kernel, arguments, (int32_t)session->values.count,
                         &returned, &session->failure) != 0) {
            return -1;
        }
    }
    return nanoseconds(CLOCK_MONOTONIC) - begin;
}

/* More calls, of which so many took too few milliseconds. */
static int64_t more_calls(int64_t number, double milliseconds, double least_milliseconds) {
    double by_time = least_milliseconds / (milliseconds / (double)number) + 1;
    double by_growth = (double)number * 1.618;
    double wanted = by_time > by_growth ? by_time : by_growth;
    return wanted > MOST_CALLS ? MOST_CALLS : (int64_t)wanted;
}

/* One repetition: seconds of a call, or a negative number. `plan->number` grows where the calls
 * take less than the least time. */
static double time_repetition(struct session *session, abi_kernel kernel,
                              const struct abi_any *arguments, struct stopwatch_plan *plan,
                              uint8_t *flushed) {
    double milliseconds = 0;
    int64_t zeros = 0;
    do {
        if (milliseconds > 0) {
            plan->number =
                more_calls(plan->number, milliseconds, (double)plan->least_milliseconds);
        }
        if (flushed != NULL) {
            memcpy(flushed, flushed + plan->flushed_bytes, (size_t)plan->flushed_bytes);
        }
        int64_t taken = time_calls(session, kernel, arguments, plan->number);
        if (taken < 0) {
            return -1;
        }
        zeros += taken == 0;
        milliseconds = (double)taken / 1e6;
    } while (milliseconds < (double)plan->least_milliseconds && zeros < plan->most_zeros);
    return milliseconds / 1e3 / (double)plan->number;
}

/* The seconds of all repetitions as bytes. */
static int call_stopwatch(struct session *session, const struct object *object,
                          struct stopwatch_plan *plan, struct result *result) {
    struct abi_any arguments[MOST_VALUES];
    abi_kernel kernel = object->kernel;
    double *seconds = calloc((size_t)plan->repeat + 1, sizeof *seconds);
    uint8_t *flushed = NULL;
    result->owned = seconds;
    if (plan->flushed_bytes > 0) {
        flushed = calloc((size_t)plan->flushed_bytes, 2);
    }
    if (seconds == NULL || (flushed == NULL && plan->flushed_bytes > 0)) {
        free(flushed);
        return fail(&session->failure, "no memory is left on the device");
    }
    int failed = kernel_arguments(session, arguments) != 0 ||
                 runtime_start(&session->runtime, &session->failure) != 0 ||
                 time_calls(session, kernel, arguments, 1) < 0;
    for (int64_t index = 0; index < plan->repeat && !failed; ++index) {
        if (plan->flushes_arguments) {
            flush_arguments(&session->values);
        }
        seconds[index] = time_repetition(session, kernel, arguments, plan, flushed);
        failed = seconds[index] < 0;
        if (plan->rest_milliseconds > 0 && index % plan->repeats_to_rest == 0) {
            rest(plan->rest_milliseconds);
        }
    }
    free(flushed);
    result->type = TYPE_BYTE_STRING;
    result->bytes = seconds;
    result->size = (size_t)plan->repeat * sizeof *seconds;
    return failed ? -1 : 0;
}

#endif
