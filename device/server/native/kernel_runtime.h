/* What kernels of an uploaded library call: loops on a session's threads and scratch memory, as in
 * the standalone form. */
#ifndef NATIVE_SERVER_KERNEL_RUNTIME_H
#define NATIVE_SERVER_KERNEL_RUNTIME_H

#include "failure.h"
#include "workspace.h"

enum { MOST_THREADS = 64, STACK_BYTES = 8 << 20 };

/* Of one thread. It takes no memory before it is written to. */
static const size_t SCRATCH_BYTES = (size_t)1 << 30;

/* The threads of a session. They are made when the first kernel runs, and never again. */
struct kernel_runtime {
    struct pool pool;
    struct error_text error;
    struct thread_context contexts[MOST_THREADS];
    struct worker workers[MOST_THREADS];
    uint32_t wanted; /* threads; 0: as many as cores may be used */
    int is_started;
};

static void *runtime_serve(void *argument) {
    struct worker *worker = argument;
    if (context_use(worker->context) == 0) {
        pool_serve(worker->pool);
    }
    return NULL;
}

static int runtime_start(struct kernel_runtime *runtime, struct failure *failure) {
    if (runtime->is_started) {
        return 0;
    }
    uint32_t threads = runtime->wanted != 0 ? runtime->wanted : system_cores(0);
    threads = threads > MOST_THREADS ? MOST_THREADS : threads;
    runtime->pool.threads = threads;
    if (context_make_key() != 0) {
        return fail(failure, "the device gives no memory to a thread");
    }
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    for (uint32_t index = 0; index < threads; ++index) {
        struct thread_context *context = &runtime->contexts[index];
        *context = (struct thread_context){&runtime->pool, &runtime->error,
                                           system_map(SCRATCH_BYTES), SCRATCH_BYTES, NULL};
        if (context->workspace == NULL) {
            return fail(failure, "the device has no memory for %u threads", threads);
        }
        if (index == 0) {
            context_use(context);
            continue;
        }
        struct worker *worker = &runtime->workers[index - 1];
        *worker = (struct worker){&runtime->pool, context, 0};
        if (pthread_create(&worker->thread, &attributes, runtime_serve, worker) != 0) {
            return fail(failure, "the device gives no %u threads", threads);
        }
        runtime->pool.started += 1;
    }
    pthread_attr_destroy(&attributes);
    runtime->is_started = 1;
    return 0;
}

/* Calls a kernel; its error, if any, is the failure. */
static int runtime_call(struct kernel_runtime *runtime, abi_kernel kernel,
                        const struct abi_any *arguments, int32_t count, struct abi_any *result,
                        struct failure *failure) {
    runtime->contexts[0].last = NULL; /* A kernel that failed gave nothing back. */
    if (kernel(NULL, arguments, count, result) == 0) {
        return 0;
    }
    fail(failure, "the kernel failed: %s",
         atomic_load(&runtime->error.is_set) ? runtime->error.text : "it does not say why");
    atomic_store(&runtime->error.is_set, 0);
    return -1;
}

/* A check of a kernel that failed, which those of other builds have, in parts and in one. */
static void kernel_error(const char *kind, const char **parts, int32_t count) {
    (void)kind;
    error_set(context_of_thread()->error, parts, count);
}

static void kernel_error_text(const char *kind, const char *text) {
    kernel_error(kind, &text, 1);
}

#endif
