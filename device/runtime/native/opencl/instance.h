/* One opened network on a GPU: its queue, its buffers and its kernels with their arguments. A frame
 * is sent to the queue, and makes nothing. */
#ifndef NATIVE_INSTANCE_H
#define NATIVE_INSTANCE_H

#include "opencl/device.h"
#include "processor.h"
#include "workspace.h"

struct instance {
    struct error_text error;
    size_t bytes; /* of all the memory that begins here */
    struct abi_tensor *tensors;
    struct abi_any *arguments;
    const struct gpu_network *frame;
    uint8_t **staged_inputs; /* unused: any address will do */
    uint8_t **staged_outputs;
    void **inputs;
    void **outputs;
    cl_object queue;
    cl_object *buffers;
    cl_object *kernels; /* by launch */
};

static size_t room(size_t *used, size_t count, size_t size) {
    size_t at = *used;
    *used += (count * size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return at;
}

/* Lays the memory of an instance out behind `start`; without one it only counts. */
static size_t lay_out(struct instance *start, const struct network *network,
                      const struct gpu_network *frame) {
    size_t used = 0;
    struct instance unused, *target = start == NULL ? &unused : start;
    uint8_t *base = (uint8_t *)target;
    room(&used, 1, sizeof unused);
    target->tensors = (void *)(base + room(&used, network->tensor_count, sizeof *target->tensors));
    target->arguments =
        (void *)(base + room(&used, network->argument_count, sizeof *target->arguments));
    target->inputs = (void *)(base + room(&used, network->input_count, sizeof(void *)));
    target->outputs = (void *)(base + room(&used, network->output_count, sizeof(void *)));
    target->buffers = (void *)(base + room(&used, frame->buffer_count, sizeof(cl_object)));
    target->kernels = (void *)(base + room(&used, frame->launch_count, sizeof(cl_object)));
    return used;
}

static void describe_tensors(struct instance *instance, const struct network *network) {
    for (uint32_t index = 0; index < network->tensor_count; ++index) {
        const struct tensor_plan *plan = &network->tensors[index];
        struct abi_tensor *tensor = &instance->tensors[index];
        tensor->rank = plan->rank;
        tensor->type_code = plan->type_code;
        tensor->type_bits = plan->type_bits;
        tensor->type_lanes = 1;
        tensor->shape = &network->shapes[plan->shape];
    }
    for (uint32_t index = 0; index < network->argument_count; ++index) {
        instance->arguments[index].type_index = ABI_TENSOR_POINTER;
        instance->arguments[index].value.tensor = &instance->tensors[network->arguments[index]];
    }
}

static void instance_close(struct instance *instance) {
    const struct gpu_network *frame = instance->frame;
    if (instance->queue != NULL) {
        gpu.cl.clFinish(instance->queue);
    }
    for (uint32_t index = 0; index < frame->launch_count; ++index) {
        if (instance->kernels[index] != NULL) {
            gpu.cl.clReleaseKernel(instance->kernels[index]);
        }
    }
    for (uint32_t index = 0; index < frame->buffer_count; ++index) {
        if (instance->buffers[index] != NULL && frame->buffers[index].place != GPU_WEIGHTS) {
            gpu.cl.clReleaseMemObject(instance->buffers[index]);
        }
    }
    if (instance->queue != NULL) {
        gpu.cl.clReleaseCommandQueue(instance->queue);
    }
    system_unmap(instance, instance->bytes);
}

static int make_kernel(struct instance *instance, const struct gpu_network *frame, uint32_t index) {
    const struct gpu_launch *launch = &frame->launches[index];
    int32_t code = CL_SUCCESS;
    cl_object kernel = gpu.cl.clCreateKernel(gpu.program, launch->kernel, &code);
    if (code != CL_SUCCESS) {
        return code;
    }
    instance->kernels[index] = kernel;
    for (uint32_t number = 0; number < launch->argument_count; ++number) {
        const struct gpu_argument *argument = &frame->arguments[launch->first_argument + number];
        cl_object memory = argument->as_image ? frame->images[argument->buffer]
                                              : instance->buffers[argument->buffer];
        code = gpu.cl.clSetKernelArg(kernel, number, sizeof memory, &memory);
        if (code != CL_SUCCESS) {
            return code;
        }
    }
    return CL_SUCCESS;
}

static int fill_instance(struct instance *instance, const struct gpu_network *frame) {
    int32_t code = CL_SUCCESS;
    instance->queue = gpu.cl.clCreateCommandQueue(gpu.context, gpu.device, 0, &code);
    if (code != CL_SUCCESS) {
        instance->queue = NULL;
        return STATUS_MEMORY;
    }
    for (uint32_t index = 0; index < frame->buffer_count; ++index) {
        const struct gpu_buffer *buffer = &frame->buffers[index];
        instance->buffers[index] = buffer->place == GPU_WEIGHTS ? frame->weights[index]
                                                                : gpu_memory(buffer->bytes);
        if (instance->buffers[index] == NULL) {
            return STATUS_MEMORY;
        }
    }
    for (uint32_t index = 0; index < frame->launch_count; ++index) {
        if (make_kernel(instance, frame, index) != CL_SUCCESS) {
            return STATUS_MEMORY;
        }
    }
    return STATUS_OK;
}

/* Opens `network`; a GPU needs no threads and no cores. */
static int instance_open(const struct network *network, uint32_t threads, uint64_t core_mask,
                         struct instance **opened) {
    const struct gpu_network *frame = network->gpu;
    (void)core_mask;
    if (threads > network->most_threads) {
        return STATUS_THREADS;
    }
    int status = gpu_ready(network, frame);
    if (status != STATUS_OK) {
        return status;
    }
    size_t bytes = lay_out(NULL, network, frame);
    struct instance *instance = system_map(bytes);
    if (instance == NULL) {
        return STATUS_MEMORY;
    }
    lay_out(instance, network, frame);
    instance->bytes = bytes;
    instance->frame = frame;
    describe_tensors(instance, network);
    status = fill_instance(instance, frame);
    if (status != STATUS_OK) {
        instance_close(instance);
        return status;
    }
    *opened = instance;
    return STATUS_OK;
}

/* Told of each call behind it. */
typedef void (*call_observer)(void *self, struct instance *instance, uint32_t call);

static size_t bytes_of_tensor(const struct abi_tensor *tensor) {
    size_t bytes = (tensor->type_bits + 7u) / 8u;
    for (int32_t index = 0; index < tensor->rank; ++index) {
        bytes *= (size_t)tensor->shape[index];
    }
    return bytes;
}

/* Copies the results of a call to the host for `observe`; 0, or OpenCL's error. */
static int32_t show_call(struct instance *instance, const struct network *network,
                         const struct gpu_network *frame, uint32_t index, call_observer observe,
                         void *self) {
    const struct kernel_call *call = &network->calls[index];
    uint32_t first = call->first_argument + call->argument_count - call->result_count;
    int32_t code = gpu.cl.clFinish(instance->queue);
    for (uint32_t result = 0; result < call->result_count && code == CL_SUCCESS; ++result) {
        struct abi_tensor *tensor = instance->arguments[first + result].value.tensor;
        size_t bytes = bytes_of_tensor(tensor);
        cl_object memory =
            instance->buffers[frame->tensor_buffers[network->arguments[first + result]]];
        tensor->data = system_map(bytes);
        code = tensor->data == NULL
                   ? STATUS_MEMORY
                   : gpu.cl.clEnqueueReadBuffer(instance->queue, memory, 1, 0, bytes, tensor->data,
                                                0, NULL, NULL);
    }
    if (code == CL_SUCCESS) {
        observe(self, instance, index);
    }
    for (uint32_t result = 0; result < call->result_count; ++result) {
        struct abi_tensor *tensor = instance->arguments[first + result].value.tensor;
        if (tensor->data != NULL) {
            system_unmap(tensor->data, bytes_of_tensor(tensor));
            tensor->data = NULL;
        }
    }
    return code;
}

static int32_t send_launches(struct instance *instance, const struct network *network,
                             const struct gpu_network *frame, call_observer observe, void *self,
                             uint32_t *at) {
    for (uint32_t index = 0; index < frame->launch_count; ++index) {
        const struct gpu_launch *launch = &frame->launches[index];
        *at = launch->call;
        int32_t code = gpu.cl.clEnqueueNDRangeKernel(instance->queue, instance->kernels[index], 3,
                                                     NULL, launch->items, launch->group, 0, NULL,
                                                     NULL);
        int is_last = index + 1 == frame->launch_count ||
                      frame->launches[index + 1].call != launch->call;
        if (code == CL_SUCCESS && observe != NULL && is_last) {
            code = show_call(instance, network, frame, launch->call, observe, self);
        }
        if (code != CL_SUCCESS) {
            return code;
        }
    }
    return CL_SUCCESS;
}

/* Sends a frame and waits for it. */
static int instance_run(struct instance *instance, const struct network *network,
                        call_observer observe, void *self) {
    const struct gpu_network *frame = network->gpu;
    int32_t code = CL_SUCCESS;
    uint32_t at = 0;
    atomic_store(&instance->error.is_set, 0);
    instance->error.text[0] = '\0';
    for (uint32_t index = 0; index < frame->buffer_count && code == CL_SUCCESS; ++index) {
        const struct gpu_buffer *buffer = &frame->buffers[index];
        if (buffer->place == GPU_INPUT) {
            code = gpu.cl.clEnqueueWriteBuffer(instance->queue, instance->buffers[index], 0, 0,
                                               (size_t)buffer->bytes,
                                               instance->inputs[buffer->offset], 0, NULL, NULL);
        }
    }
    if (code == CL_SUCCESS) {
        code = send_launches(instance, network, frame, observe, self, &at);
    }
    for (uint32_t index = 0; index < frame->buffer_count && code == CL_SUCCESS; ++index) {
        const struct gpu_buffer *buffer = &frame->buffers[index];
        if (buffer->place == GPU_OUTPUT) {
            code = gpu.cl.clEnqueueReadBuffer(instance->queue, instance->buffers[index], 0, 0,
                                              (size_t)buffer->bytes,
                                              instance->outputs[buffer->offset], 0, NULL, NULL);
        }
    }
    for (uint32_t index = 0; index < network->copy_count && code == CL_SUCCESS; ++index) {
        const struct output_copy *copy = &network->copies[index];
        code = gpu.cl.clEnqueueReadBuffer(
            instance->queue, instance->buffers[frame->tensor_buffers[copy->tensor]], 0, 0,
            network->output_bytes[copy->output], instance->outputs[copy->output], 0, NULL, NULL);
    }
    int32_t finished = gpu.cl.clFinish(instance->queue);
    code = code == CL_SUCCESS ? finished : code;
    if (code == CL_SUCCESS) {
        return STATUS_OK;
    }
    char number[24] = "";
    gpu_append_number(number, sizeof number, code);
    const char *name = network->call_count == 0 ? "" : network->calls[at].name;
    const char *parts[] = {"kernel ", name, " or one before it failed with OpenCL error ", number};
    error_set(&instance->error, parts, 4);
    return STATUS_KERNEL;
}

#endif
