/* A network by hand, in the place of a generated one: what the runtime does is tested without TVM.
 *
 * int32 [64] in and out. Kernel `scale` adds up 100 numbers for each element in a parallel loop
 * with scratch memory, and fails where the first element is FAIL; `shift` adds a constant. */
#ifndef SMALL_NETWORK_H
#define SMALL_NETWORK_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    void *data;
    size_t bytes;
} frame_buffer;

#include "handles.h"

enum { ELEMENTS = 64, TERMS = 100, SHIFT = 7, FAIL = -1000, TASKS = 16 };

struct closure {
    const int32_t *from;
    int32_t *to;
};

static int scale_task(int task, struct abi_group *group, void *data) {
    struct closure *closure = data;
    for (int element = task; element < ELEMENTS; element += group->tasks) {
        int32_t *terms = workspace_take(ABI_CPU, 0, TERMS * sizeof *terms, 0, 32);
        int32_t *more = workspace_take(ABI_CPU, 0, 8, 0, 32);
        if (terms == NULL || more == NULL) {
            return -1;
        }
        for (int term = 0; term < TERMS; ++term) {
            terms[term] = closure->from[element] + term;
        }
        *more = 0;
        for (int term = 0; term < TERMS; ++term) {
            *more += terms[term];
        }
        closure->to[element] = *more;
        /* As TVM's kernels do at the end of a scope: the first one first. */
        workspace_give_back(ABI_CPU, 0, terms);
        workspace_give_back(ABI_CPU, 0, more);
    }
    return closure->from[0] == FAIL && task == 0 ? -1 : 0;
}

static int scale(void *self, const struct abi_any *arguments, int32_t count,
                 struct abi_any *result) {
    (void)self, (void)result;
    if (count != 2 || arguments[0].type_index != ABI_TENSOR_POINTER) {
        return -1;
    }
    struct closure closure = {arguments[0].value.tensor->data, arguments[1].value.tensor->data};
    return launch(scale_task, &closure, 0) | launch(scale_task, &closure, TASKS);
}

static int shift(void *self, const struct abi_any *arguments, int32_t count,
                 struct abi_any *result) {
    (void)self, (void)result;
    const int32_t *from = arguments[0].value.tensor->data;
    const int32_t *by = arguments[1].value.tensor->data;
    int32_t *to = arguments[2].value.tensor->data;
    if (count != 3 || arguments[2].value.tensor->shape[0] != ELEMENTS) {
        const char *parts[] = {"shape of ", NULL, "shift"};
        error_set(context_of_thread()->error, parts, 3);
        return -1;
    }
    for (int element = 0; element < ELEMENTS; ++element) {
        to[element] = from[element] + *by;
    }
    return 0;
}

static const _Alignas(64) int32_t small_weights[] = {SHIFT};
static const int64_t small_shapes[] = {ELEMENTS, 1};
static const struct tensor_plan small_tensors[] = {
    {PLACE_INPUT, 0, 0, 1, 0, 32},
    {PLACE_ARENA, 0, 0, 1, 0, 32},
    {PLACE_WEIGHTS, 0, 1, 1, 0, 32},
    {PLACE_OUTPUT, 0, 0, 1, 0, 32},
};
static const uint32_t small_arguments[] = {0, 1, 1, 2, 3};
static const struct kernel_call small_calls[] = {
    {scale, "scale", "first", 0, 2, 1},
    {shift, "shift", "second, third", 2, 3, 1},
};
static const struct output_copy small_copies[] = {{0, 1}};
static const size_t small_input_bytes[] = {ELEMENTS * sizeof(int32_t)};
static const size_t small_output_bytes[] = {ELEMENTS * sizeof(int32_t),
                                            ELEMENTS * sizeof(int32_t)};
static const struct network small_network = {
    .weights = (const uint8_t *)small_weights,
    .tensors = small_tensors,
    .calls = small_calls,
    .arguments = small_arguments,
    .shapes = small_shapes,
    .copies = small_copies,
    .input_bytes = small_input_bytes,
    .output_bytes = small_output_bytes,
    .tensor_count = 4,
    .call_count = 2,
    .argument_count = 5,
    .copy_count = 1,
    .input_count = 1,
    .output_count = 2,
    .most_threads = 8,
    .arena_bytes = ELEMENTS * sizeof(int32_t),
    .workspace_bytes = 64 + 448 + 64 + 64,
};

/* What the network gives for an element. */
static int32_t expected_of(int32_t value) {
    return TERMS * value + TERMS * (TERMS - 1) / 2 + SHIFT;
}

#endif
