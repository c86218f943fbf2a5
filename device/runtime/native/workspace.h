/* What a kernel needs while it runs: scratch memory of its thread, and a place for its error.
 *
 * Kernels do not say for whom they work, so each thread keeps a pointer to its context. It is a key
 * of pthreads, for Android before version 10 loads no library with thread-local variables. */
#ifndef NATIVE_WORKSPACE_H
#define NATIVE_WORKSPACE_H

#include <pthread.h>

#include "pool.h"

enum { ALIGNMENT = 64 };

struct error_text {
    atomic_uint is_set; /* the first one stays */
    char text[240];
};

struct thread_context {
    struct pool *pool;
    struct error_text *error;
    uint8_t *workspace;
    size_t bytes;
    struct block *last;
};

/* Before each piece of scratch memory: the piece before it, NULL for none, and where this ends. */
struct block {
    _Alignas(ALIGNMENT) struct block *before;
    size_t end; /* in the workspace */
    int is_free;
};

enum { KEY_UNMADE, KEY_BEING_MADE, KEY_MADE };

static atomic_int context_key_state;
static pthread_key_t context_key;

/* Makes the key once for the process; 0, or -1 where the system has no more of them. */
static int context_make_key(void) {
    for (;;) {
        int state = KEY_UNMADE;
        if (atomic_compare_exchange_strong(&context_key_state, &state, KEY_BEING_MADE)) {
            int failed = pthread_key_create(&context_key, NULL) != 0;
            atomic_store(&context_key_state, failed ? KEY_UNMADE : KEY_MADE);
            return failed ? -1 : 0;
        }
        if (state == KEY_MADE) {
            return 0;
        }
        system_relax();
    }
}

static struct thread_context *context_of_thread(void) {
    return pthread_getspecific(context_key);
}

static int context_use(struct thread_context *context) {
    return pthread_setspecific(context_key, context);
}

static void error_set(struct error_text *error, const char *const *parts, int count) {
    if (atomic_exchange(&error->is_set, 1)) {
        return;
    }
    size_t used = 0;
    for (int part = 0; part < count; ++part) {
        const char *next = parts[part] == NULL ? "" : parts[part];
        while (*next != '\0' && used + 1 < sizeof error->text) {
            error->text[used++] = *next++;
        }
    }
    error->text[used] = '\0';
}

/* Scratch memory is a stack. Kernels give pieces back at the end of a scope in any order, so a
 * piece goes when all behind it have gone. */
static void *workspace_take(int device_type, int device_id, uint64_t bytes, int type_code,
                            int type_bits) {
    (void)device_type, (void)device_id, (void)type_code, (void)type_bits;
    struct thread_context *context = context_of_thread();
    size_t start = context->last == NULL ? 0 : context->last->end;
    size_t whole = sizeof(struct block) + (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    if (whole < bytes || whole > context->bytes - start) {
        const char *parts[] = {"a kernel needs more scratch memory than was planned"};
        error_set(context->error, parts, 1);
        return NULL;
    }
    struct block *block = (struct block *)(context->workspace + start);
    block->before = context->last;
    block->end = start + whole;
    block->is_free = 0;
    context->last = block;
    return block + 1;
}

static int workspace_give_back(int device_type, int device_id, void *start) {
    (void)device_type, (void)device_id;
    struct thread_context *context = context_of_thread();
    ((struct block *)start - 1)->is_free = 1;
    while (context->last != NULL && context->last->is_free) {
        context->last = context->last->before;
    }
    return 0;
}

/* What kernels call: a loop on all threads. */
static int launch(abi_task task, void *closure, int tasks) {
    return pool_launch(context_of_thread()->pool, task, closure, tasks);
}

#endif
