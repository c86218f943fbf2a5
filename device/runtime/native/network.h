/* A compiled network as constant data: what the generated source fills in. */
#ifndef NATIVE_NETWORK_H
#define NATIVE_NETWORK_H

#include <stddef.h>
#include <stdint.h>

#include "kernel_abi.h"

enum { MOST_DIMENSIONS = 8 };

/* Where a tensor of the frame lies. */
enum place { PLACE_WEIGHTS, PLACE_ARENA, PLACE_INPUT, PLACE_OUTPUT };

struct tensor_plan {
    enum place place;
    uint64_t offset; /* into weights or arena, bytes; of an input or output its number */
    uint32_t shape;  /* index of its first extent in `shapes` */
    uint8_t rank;
    uint8_t type_code;
    uint8_t type_bits;
};

struct kernel_call {
    abi_kernel kernel; /* NULL where a GPU runs it */
    const char *name;
    const char *layers; /* of the network that it computes, with commas between */
    uint32_t first_argument; /* in `arguments`; the results are the last ones */
    uint16_t argument_count;
    uint16_t result_count;
};

/* An output that no kernel writes: an input or a constant that the network passes on. */
struct output_copy {
    uint32_t tensor;
    uint32_t output;
};

/* A feature that the kernels need of the processor, as /proc/cpuinfo spells it, and where the
 * processor or the kernel tells of it (processor.h). */
struct processor_feature {
    const char *name;
    uint32_t leaf;
    uint32_t subleaf;
    uint32_t word;
    uint32_t bit;
    uint32_t kept; /* registers that the operating system has to keep, as in XCR0 */
};

struct gpu_network; /* opencl/gpu_network.h */

struct network {
    const struct gpu_network *gpu; /* NULL where the processor runs the kernels */
    const uint8_t *weights;
    const struct tensor_plan *tensors;
    const struct kernel_call *calls;
    const uint32_t *arguments; /* numbers of tensors */
    const int64_t *shapes;
    const struct output_copy *copies;
    const struct processor_feature *features;
    const size_t *input_bytes;
    const size_t *output_bytes;
    uint32_t tensor_count;
    uint32_t call_count;
    uint32_t argument_count;
    uint32_t copy_count;
    uint32_t feature_count;
    uint32_t input_count;
    uint32_t output_count;
    uint32_t most_threads;
    size_t arena_bytes;
    size_t workspace_bytes; /* of one thread */
};

#endif
