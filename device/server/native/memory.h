/* Memory that a client has taken for its tensors. What a client names is looked for here first: a
 * wrong address is a sentence, and writes nowhere. */
#ifndef NATIVE_SERVER_MEMORY_H
#define NATIVE_SERVER_MEMORY_H

#include <inttypes.h>

#include "values.h"

enum { TENSOR_ALIGNMENT = 64, MOST_ALIGNMENT = 1 << 16 };

struct piece {
    uint8_t *start;
    size_t bytes;
};

struct memory {
    struct piece *pieces;
    size_t count;
    size_t room;
};

/* Bytes of a tensor; UINT64_MAX where they are more than any memory has. */
static uint64_t tensor_bytes(const struct abi_tensor *tensor) {
    uint64_t elements = 1, bits = (uint64_t)tensor->type_bits * tensor->type_lanes;
    for (int32_t axis = 0; axis < tensor->rank; ++axis) {
        if (tensor->shape[axis] < 0 ||
            __builtin_mul_overflow(elements, (uint64_t)tensor->shape[axis], &elements)) {
            return UINT64_MAX;
        }
    }
    if (__builtin_mul_overflow(elements, bits, &bits) || bits > UINT64_MAX - 7) {
        return UINT64_MAX;
    }
    return (bits + 7) / 8;
}

static void *memory_take(struct memory *memory, uint64_t bytes, uint64_t alignment,
                         struct failure *failure) {
    if (alignment < TENSOR_ALIGNMENT) {
        alignment = TENSOR_ALIGNMENT;
    }
    if (alignment > MOST_ALIGNMENT || (alignment & (alignment - 1)) != 0) {
        fail(failure, "memory cannot begin at multiples of %" PRIu64 " bytes", alignment);
        return NULL;
    }
    if (memory->count == memory->room) {
        size_t room = memory->room * 2 + 64;
        struct piece *larger = realloc(memory->pieces, room * sizeof *larger);
        if (larger == NULL) {
            fail(failure, "no memory is left on the device");
            return NULL;
        }
        memory->pieces = larger;
        memory->room = room;
    }
    void *start = NULL;
    if (bytes > SIZE_MAX / 2 ||
        posix_memalign(&start, alignment, bytes == 0 ? 1 : (size_t)bytes) != 0) {
        fail(failure, "%" PRIu64 " bytes are more memory than the device has", bytes);
        return NULL;
    }
    memory->pieces[memory->count++] = (struct piece){start, (size_t)bytes};
    return start;
}

static int memory_give_back(struct memory *memory, uint64_t start, struct failure *failure) {
    for (size_t index = 0; index < memory->count; ++index) {
        if ((uintptr_t)memory->pieces[index].start == start) {
            free(memory->pieces[index].start);
            memory->pieces[index] = memory->pieces[--memory->count];
            return 0;
        }
    }
    return fail(failure, "memory was given back that had not been taken");
}

/* Whether `bytes` from the tensor's first one on lie in memory that the client has taken. */
static int memory_holds(const struct memory *memory, const struct abi_tensor *tensor,
                        uint64_t bytes) {
    uint64_t first = (uintptr_t)tensor->data, end;
    if (__builtin_add_overflow(first, tensor->byte_offset, &first) ||
        __builtin_add_overflow(first, bytes, &end)) {
        return 0;
    }
    for (size_t index = 0; index < memory->count; ++index) {
        uint64_t start = (uintptr_t)memory->pieces[index].start;
        if (first >= start && end <= start + memory->pieces[index].bytes) {
            return 1;
        }
    }
    return 0;
}

/* Refuses a tensor that is not the processor's or does not lie in memory that was taken. */
static int check_tensor(const struct memory *memory, const struct abi_tensor *tensor,
                        struct failure *failure) {
    if (tensor->device_type != ABI_CPU || tensor->device_id != 0) {
        return fail(failure, "a tensor is on device %d:%d, and only the processor is served here",
                    (int)tensor->device_type, (int)tensor->device_id);
    }
    uint64_t bytes = tensor_bytes(tensor);
    if (bytes == UINT64_MAX || !memory_holds(memory, tensor, bytes)) {
        return fail(failure, "a tensor does not lie in memory that was taken for one");
    }
    return 0;
}

#endif
