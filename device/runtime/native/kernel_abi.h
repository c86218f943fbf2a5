/* How TVM's code generator calls a kernel: the part of TVM 0.27's C interface that kernels use.
 *
 * A kernel is a function of packed arguments. Through pointers in its own object it calls the three
 * functions of a backend (parallel loops, workspace). */
#ifndef NATIVE_KERNEL_ABI_H
#define NATIVE_KERNEL_ABI_H

#include <stdint.h>

enum { ABI_CPU = 1, ABI_TENSOR_POINTER = 7 };

struct abi_tensor { /* DLTensor */
    void *data;
    int32_t device_type;
    int32_t device_id;
    int32_t rank;
    uint8_t type_code;
    uint8_t type_bits;
    uint16_t type_lanes;
    const int64_t *shape;
    const int64_t *strides; /* NULL: no gaps */
    uint64_t byte_offset;
};

struct abi_any { /* TVMFFIAny */
    int32_t type_index;
    uint32_t padding;
    union {
        int64_t integer;
        struct abi_tensor *tensor;
    } value;
};

struct abi_group { /* TVMParallelGroupEnv */
    void *sync_handle;
    int32_t tasks;
};

typedef int (*abi_kernel)(void *self, const struct abi_any *arguments, int32_t count,
                          struct abi_any *result);
typedef int (*abi_task)(int task, struct abi_group *group, void *closure);

#endif
