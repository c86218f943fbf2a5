/* Handles: numbers that stay wrong once they are closed, whoever uses them and when.
 *
 * A slot's word holds how often it was opened and what is done with it now. Every use begins with
 * one compare-and-swap of both, so a closed handle is told from an open one, and two threads that
 * use the same one at once are told of it. */
#ifndef NATIVE_HANDLES_H
#define NATIVE_HANDLES_H

#ifdef NATIVE_ON_GPU
#include "opencl/instance.h"
#else
#include "instance.h"
#endif

enum { MOST_HANDLES = 64, STATE_BITS = 8 };
enum slot_state { SLOT_FREE, SLOT_CHANGING, SLOT_IDLE, SLOT_RUNNING };

struct slot {
    atomic_ullong word; /* times opened << STATE_BITS | state */
    struct instance *instance;
    char error[240];
};

static struct slot slots[MOST_HANDLES];

static uint64_t word_of(uint64_t times, enum slot_state state) {
    return times << STATE_BITS | (uint64_t)state;
}

/* The slot of a handle and, in `times`, which of its openings is meant; NULL for no handle. */
static struct slot *slot_of(uint64_t handle, uint64_t *times) {
    *times = handle / MOST_HANDLES;
    return *times == 0 ? NULL : &slots[handle % MOST_HANDLES];
}

/* Takes the handle for one use; STATUS_OK, or why it cannot be had. */
static int slot_take(struct slot *slot, uint64_t times, enum slot_state use) {
    if (slot == NULL) {
        return STATUS_HANDLE;
    }
    unsigned long long expected = word_of(times, SLOT_IDLE);
    if (atomic_compare_exchange_strong(&slot->word, &expected, word_of(times, use))) {
        return STATUS_OK;
    }
    int is_open = expected >> STATE_BITS == times && expected != word_of(times, SLOT_FREE);
    return is_open ? STATUS_BUSY : STATUS_HANDLE;
}

static int handle_open(const struct network *network, uint32_t threads, uint64_t core_mask,
                       uint64_t *handle) {
    for (uint64_t index = 0; index < MOST_HANDLES; ++index) {
        struct slot *slot = &slots[index];
        unsigned long long word = atomic_load(&slot->word);
        uint64_t times = (word >> STATE_BITS) + 1;
        if ((word & ((1 << STATE_BITS) - 1)) != SLOT_FREE ||
            !atomic_compare_exchange_strong(&slot->word, &word, word_of(times, SLOT_CHANGING))) {
            continue;
        }
        slot->error[0] = '\0';
        int status = instance_open(network, threads, core_mask, &slot->instance);
        atomic_store(&slot->word, word_of(times, status == STATUS_OK ? SLOT_IDLE : SLOT_FREE));
        *handle = status == STATUS_OK ? times * MOST_HANDLES + index : 0;
        return status;
    }
    return STATUS_HANDLES;
}

static int handle_close(uint64_t handle) {
    uint64_t times;
    struct slot *slot = slot_of(handle, &times);
    int status = slot_take(slot, times, SLOT_CHANGING);
    if (status == STATUS_OK) {
        instance_close(slot->instance);
        slot->instance = NULL;
        atomic_store(&slot->word, word_of(times, SLOT_FREE));
    }
    return status;
}

static int is_aligned(const void *data) {
#ifdef NATIVE_ON_GPU
    return data != NULL; /* It is copied anyway. */
#else
    return (uintptr_t)data % ALIGNMENT == 0;
#endif
}

static int check_buffers(const frame_buffer *buffers, uint32_t count, const size_t *bytes,
                         uint32_t wanted) {
    if (count != wanted) {
        return STATUS_SIZE;
    }
    for (uint32_t index = 0; index < count; ++index) {
        if (buffers[index].data == NULL) {
            return STATUS_ARGUMENT;
        }
        if (buffers[index].bytes != bytes[index]) {
            return STATUS_SIZE;
        }
    }
    return STATUS_OK;
}

/* Computes a frame. `observe` is told of each call, or NULL. */
static int handle_run(const struct network *network, uint64_t handle, const frame_buffer *inputs,
                      uint32_t input_count, const frame_buffer *outputs, uint32_t output_count,
                      call_observer observe, void *self) {
    if (inputs == NULL || outputs == NULL) {
        return STATUS_ARGUMENT;
    }
    int status = check_buffers(inputs, input_count, network->input_bytes, network->input_count);
    if (status == STATUS_OK) {
        status = check_buffers(outputs, output_count, network->output_bytes, network->output_count);
    }
    uint64_t times;
    struct slot *slot = slot_of(handle, &times);
    if (status == STATUS_OK) {
        status = slot_take(slot, times, SLOT_RUNNING);
    }
    if (status != STATUS_OK) {
        return status;
    }
    struct instance *instance = slot->instance;
    for (uint32_t index = 0; index < input_count; ++index) {
        instance->inputs[index] = inputs[index].data;
        if (!is_aligned(inputs[index].data)) {
            memcpy(instance->staged_inputs[index], inputs[index].data, inputs[index].bytes);
            instance->inputs[index] = instance->staged_inputs[index];
        }
    }
    for (uint32_t index = 0; index < output_count; ++index) {
        int aligned = is_aligned(outputs[index].data);
        instance->outputs[index] = aligned ? outputs[index].data : instance->staged_outputs[index];
    }
    status = instance_run(instance, network, observe, self);
    for (uint32_t index = 0; index < output_count && status == STATUS_OK; ++index) {
        if (instance->outputs[index] != outputs[index].data) {
            memcpy(outputs[index].data, instance->outputs[index], outputs[index].bytes);
        }
    }
    memcpy(slot->error, instance->error.text, sizeof slot->error);
    atomic_store(&slot->word, word_of(times, SLOT_IDLE));
    return status;
}

/* What the last frame of the handle failed with; "" where it did not. */
static const char *handle_error(uint64_t handle) {
    uint64_t times;
    struct slot *slot = slot_of(handle, &times);
    if (slot == NULL || atomic_load(&slot->word) >> STATE_BITS != times) {
        return status_text(STATUS_HANDLE);
    }
    return slot->error;
}

#endif
