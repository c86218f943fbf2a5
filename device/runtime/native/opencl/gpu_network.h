/* A network's frame on a GPU as constant data: what the generated source fills in. */
#ifndef NATIVE_OPENCL_GPU_NETWORK_H
#define NATIVE_OPENCL_GPU_NETWORK_H

#include "network.h"

enum gpu_place { GPU_WEIGHTS, GPU_ARENA, GPU_INPUT, GPU_OUTPUT };

struct gpu_buffer {
    enum gpu_place place;
    uint64_t offset; /* into the weights, bytes; of an input or output its number */
    uint64_t bytes;
    int is_image; /* of weights: some kernel reads them as one */
};

struct gpu_argument {
    uint32_t buffer;
    int as_image;
};

struct gpu_launch {
    const char *kernel;
    uint32_t call;
    uint32_t first_argument;
    uint32_t argument_count;
    size_t items[3]; /* of all work groups together */
    size_t group[3];
};

struct gpu_network {
    const char *source;
    size_t source_bytes;
    const struct gpu_buffer *buffers;
    const struct gpu_argument *arguments;
    const struct gpu_launch *launches;
    const uint32_t *tensor_buffers; /* by tensor */
    void **weights; /* by buffer: memory that all handles share */
    void **images;
    uint32_t buffer_count;
    uint32_t launch_count;
    uint32_t work_group; /* the most work items of one */
    int integer_dot_product;
    int half; /* kernels compute in float16 */
};

#endif
