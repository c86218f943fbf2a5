/* One opened network: its memory, its threads and its descriptions of tensors.
 *
 * All of it lies in one piece of memory that is taken when it is opened. A frame takes none. */
#ifndef NATIVE_INSTANCE_H
#define NATIVE_INSTANCE_H

#include <string.h>

#include "network.h"
#include "processor.h"
#include "status.h"
#include "workspace.h"

struct instance {
    struct pool pool;
    struct error_text error;
    size_t bytes; /* of all the memory that begins here */
    struct thread_context *contexts;
    struct worker *workers;
    struct abi_tensor *tensors;
    struct abi_any *arguments;
    uint8_t *arena;
    uint8_t **staged_inputs; /* where a caller's tensor is copied to that is not aligned */
    uint8_t **staged_outputs;
    void **inputs;
    void **outputs;
};

/* Lays pieces of memory out one after the other; without a start it only counts. */
struct layout {
    uint8_t *start;
    size_t used;
};

static void *layout_take(struct layout *layout, size_t count, size_t size) {
    void *piece = layout->start == NULL ? NULL : layout->start + layout->used;
    layout->used += (count * size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return piece;
}

static size_t lay_out(struct instance *instance, uint8_t *start, const struct network *network,
                      uint32_t threads) {
    struct layout layout = {start, 0};
    struct instance unused;
    struct instance *target = instance == NULL ? &unused : instance;
    layout_take(&layout, 1, sizeof *instance);
    target->contexts = layout_take(&layout, threads, sizeof *target->contexts);
    target->workers = layout_take(&layout, threads, sizeof *target->workers);
    target->tensors = layout_take(&layout, network->tensor_count, sizeof *target->tensors);
    target->arguments = layout_take(&layout, network->argument_count, sizeof *target->arguments);
    target->staged_inputs = layout_take(&layout, network->input_count, sizeof(uint8_t *));
    target->staged_outputs = layout_take(&layout, network->output_count, sizeof(uint8_t *));
    target->inputs = layout_take(&layout, network->input_count, sizeof(void *));
    target->outputs = layout_take(&layout, network->output_count, sizeof(void *));
    target->arena = layout_take(&layout, 1, network->arena_bytes);
    for (uint32_t index = 0; index < threads; ++index) {
        uint8_t *workspace = layout_take(&layout, 1, network->workspace_bytes);
        if (start != NULL) {
            target->contexts[index].workspace = workspace;
        }
    }
    for (uint32_t index = 0; index < network->input_count; ++index) {
        uint8_t *staged = layout_take(&layout, 1, network->input_bytes[index]);
        if (start != NULL) {
            target->staged_inputs[index] = staged;
        }
    }
    for (uint32_t index = 0; index < network->output_count; ++index) {
        uint8_t *staged = layout_take(&layout, 1, network->output_bytes[index]);
        if (start != NULL) {
            target->staged_outputs[index] = staged;
        }
    }
    return layout.used;
}

static void describe_tensors(struct instance *instance, const struct network *network) {
    for (uint32_t index = 0; index < network->tensor_count; ++index) {
        const struct tensor_plan *plan = &network->tensors[index];
        struct abi_tensor *tensor = &instance->tensors[index];
        tensor->device_type = ABI_CPU;
        tensor->rank = plan->rank;
        tensor->type_code = plan->type_code;
        tensor->type_bits = plan->type_bits;
        tensor->type_lanes = 1;
        tensor->shape = &network->shapes[plan->shape];
        if (plan->place == PLACE_WEIGHTS) {
            /* A kernel takes all tensors alike, and writes to results only. */
            tensor->data = (void *)(uintptr_t)(network->weights + plan->offset);
        } else if (plan->place == PLACE_ARENA) {
            tensor->data = instance->arena + plan->offset;
        }
    }
    for (uint32_t index = 0; index < network->argument_count; ++index) {
        instance->arguments[index].type_index = ABI_TENSOR_POINTER;
        instance->arguments[index].value.tensor = &instance->tensors[network->arguments[index]];
    }
}

static void *serve_instance(void *argument) {
    struct worker *worker = argument;
    if (context_use(worker->context) == 0) {
        pool_serve(worker->pool);
    }
    return NULL;
}

static void instance_close(struct instance *instance) {
    pool_close(&instance->pool, instance->workers);
    system_unmap(instance, instance->bytes);
}

/* Opens `network` for `threads` threads, those besides the caller's on the cores of `core_mask`
 * (0: wherever the caller may run). */
static int instance_open(const struct network *network, uint32_t threads, uint64_t core_mask,
                         struct instance **opened) {
    if (missing_feature(network) != NULL) {
        return STATUS_PROCESSOR;
    }
    if (threads > network->most_threads || threads > system_cores(core_mask)) {
        return STATUS_THREADS;
    }
    size_t bytes = lay_out(NULL, NULL, network, threads);
    struct instance *instance = system_map(bytes);
    if (instance == NULL || context_make_key() != 0) {
        if (instance != NULL) {
            system_unmap(instance, bytes);
        }
        return STATUS_MEMORY;
    }
    lay_out(instance, (uint8_t *)instance, network, threads);
    instance->bytes = bytes;
    instance->pool.threads = threads;
    instance->pool.core_mask = core_mask;
    describe_tensors(instance, network);
    for (uint32_t index = 0; index < threads; ++index) {
        struct thread_context *context = &instance->contexts[index];
        context->pool = &instance->pool;
        context->error = &instance->error;
        context->bytes = network->workspace_bytes;
    }
    for (uint32_t index = 0; index + 1 < threads; ++index) {
        struct worker *worker = &instance->workers[index];
        worker->pool = &instance->pool;
        worker->context = &instance->contexts[index + 1];
        if (pthread_create(&worker->thread, NULL, serve_instance, worker) != 0) {
            instance_close(instance);
            return STATUS_MEMORY;
        }
        instance->pool.started += 1;
    }
    *opened = instance;
    return STATUS_OK;
}

/* Lets the descriptions of inputs and outputs point to the tensors of this frame. */
static void bind_tensors(struct instance *instance, const struct network *network) {
    for (uint32_t index = 0; index < network->tensor_count; ++index) {
        const struct tensor_plan *plan = &network->tensors[index];
        if (plan->place == PLACE_INPUT) {
            instance->tensors[index].data = instance->inputs[plan->offset];
        } else if (plan->place == PLACE_OUTPUT) {
            instance->tensors[index].data = instance->outputs[plan->offset];
        }
    }
}

/* Makes one call of the frame; 0, or what the kernel returned. */
static int instance_call(struct instance *instance, const struct network *network, uint32_t index) {
    const struct kernel_call *call = &network->calls[index];
    struct abi_any result = {0, 0, {0}};
    return call->kernel(NULL, &instance->arguments[call->first_argument], call->argument_count,
                        &result);
}

/* Outputs that no kernel writes. */
static void instance_copy(struct instance *instance, const struct network *network) {
    for (uint32_t index = 0; index < network->copy_count; ++index) {
        const struct output_copy *copy = &network->copies[index];
        memmove(instance->outputs[copy->output], instance->tensors[copy->tensor].data,
                network->output_bytes[copy->output]);
    }
}

/* Told of each call behind it. */
typedef void (*call_observer)(void *self, struct instance *instance, uint32_t call);

/* Computes a frame of `inputs` and `outputs`, which are aligned; `observe` may be NULL. */
static int instance_run(struct instance *instance, const struct network *network,
                        call_observer observe, void *self) {
    void *before = context_of_thread();
    atomic_store(&instance->error.is_set, 0);
    instance->error.text[0] = '\0';
    for (uint32_t index = 0; index < instance->pool.threads; ++index) {
        instance->contexts[index].last = NULL; /* whatever a kernel that failed has left */
    }
    if (context_use(&instance->contexts[0]) != 0) {
        return STATUS_MEMORY;
    }
    bind_tensors(instance, network);
    int status = STATUS_OK;
    for (uint32_t index = 0; index < network->call_count; ++index) {
        if (instance_call(instance, network, index) != 0) {
            const char *parts[] = {"kernel ", network->calls[index].name, " failed"};
            error_set(&instance->error, parts, 3);
            status = STATUS_KERNEL;
            break;
        }
        if (observe != NULL) {
            observe(self, instance, index);
        }
    }
    instance_copy(instance, network);
    context_use(before);
    return status;
}

#endif
