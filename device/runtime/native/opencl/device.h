/* The OpenCL device of the process, the compiled kernels and the weights: made once, when the first
 * handle is opened, and kept as long as the process lives. */
#ifndef NATIVE_OPENCL_DEVICE_H
#define NATIVE_OPENCL_DEVICE_H

#include <pthread.h>

#include "opencl/gpu_network.h"
#include "opencl/library.h"
#include "status.h"

enum { MOST_PLATFORMS = 16, ERROR_BYTES = 512, PIXEL_BYTES = 16, IMAGE_WIDTH = 256 };
enum gpu_state { GPU_UNTRIED, GPU_READY, GPU_FAILED };

static struct gpu {
    pthread_mutex_t lock;
    enum gpu_state state;
    struct cl_library cl;
    cl_object device, context, program;
    char name[128];
    char extensions[8192];
    char error[ERROR_BYTES];
} gpu = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void gpu_append(char *text, size_t bytes, const char *more) {
    size_t used = strlen(text);
    while (*more != '\0' && used + 1 < bytes) {
        text[used++] = *more++;
    }
    text[used] = '\0';
}

static void gpu_append_number(char *text, size_t bytes, long long number) {
    char digits[24];
    size_t at = sizeof digits;
    unsigned long long rest = (unsigned long long)number;
    rest = number < 0 ? 0 - rest : rest;
    digits[--at] = '\0';
    do {
        digits[--at] = (char)('0' + rest % 10);
    } while ((rest /= 10) != 0);
    if (number < 0) {
        digits[--at] = '-';
    }
    gpu_append(text, bytes, digits + at);
}

/* Says why the device cannot be used; STATUS_DEVICE. */
static int gpu_fail(const char *first, const char *second, const char *third) {
    gpu.error[0] = '\0';
    gpu_append(gpu.error, sizeof gpu.error, first);
    gpu_append(gpu.error, sizeof gpu.error, second);
    gpu_append(gpu.error, sizeof gpu.error, third);
    return STATUS_DEVICE;
}

static int gpu_fail_code(const char *what, int32_t code) {
    gpu_fail(what, " failed with OpenCL error ", "");
    gpu_append_number(gpu.error, sizeof gpu.error, code);
    return STATUS_DEVICE;
}

/* The first GPU, else accelerator, else processor that any platform has. */
static int gpu_find_device(intptr_t *platform_of_it) {
    static const uint64_t types[] = {CL_DEVICE_TYPE_GPU, CL_DEVICE_TYPE_ACCELERATOR,
                                     CL_DEVICE_TYPE_CPU};
    cl_object platforms[MOST_PLATFORMS];
    uint32_t count = 0;
    if (gpu.cl.clGetPlatformIDs(MOST_PLATFORMS, platforms, &count) != CL_SUCCESS) {
        count = 0;
    }
    count = count < MOST_PLATFORMS ? count : MOST_PLATFORMS;
    for (size_t type = 0; type < sizeof types / sizeof *types; ++type) {
        for (uint32_t index = 0; index < count; ++index) {
            uint32_t devices = 0;
            if (gpu.cl.clGetDeviceIDs(platforms[index], types[type], 1, &gpu.device, &devices) ==
                    CL_SUCCESS &&
                devices > 0) {
                *platform_of_it = (intptr_t)platforms[index];
                return 1;
            }
        }
    }
    return 0;
}

/* The next word of a list with spaces between, as long as `length`; NULL behind the last one. */
static const char *next_word(const char *list, size_t *length) {
    list += strspn(list, " ");
    *length = strcspn(list, " ");
    return *length == 0 ? NULL : list;
}

static int has_extension(const char *wanted) {
    size_t length = 0;
    for (const char *word = gpu.extensions; (word = next_word(word, &length)) != NULL;
         word += length) {
        if (length == strlen(wanted) && memcmp(word, wanted, length) == 0) {
            return 1;
        }
    }
    return 0;
}

/* The extensions that kernels ask for by a macro. */
static void build_options(char *options, size_t bytes, int *has_dot_product) {
    size_t length = 0;
    for (const char *word = gpu.extensions; (word = next_word(word, &length)) != NULL;
         word += length) {
        char name[128];
        if (length >= sizeof name) {
            continue;
        }
        memcpy(name, word, length);
        name[length] = '\0';
        if (strstr(name, "integer_dot_product") != NULL) {
            gpu_append(options, bytes, "-D MQNET_HAS_");
            gpu_append(options, bytes, name);
            gpu_append(options, bytes, " ");
            *has_dot_product = 1;
        }
    }
}

static int gpu_compile(const struct gpu_network *network) {
    char options[1024] = "";
    int has_dot_product = 0;
    build_options(options, sizeof options, &has_dot_product);
    if (network->integer_dot_product && !has_dot_product) {
        return gpu_fail("device ", gpu.name,
                        " has no extension for dot products of int8, which this was built for: "
                        "build it for a target without 'integer_dot_product'");
    }
    if (network->half && !has_extension("cl_khr_fp16")) {
        return gpu_fail("device ", gpu.name,
                        " has no cl_khr_fp16: build it with a scheme without float16");
    }
    size_t most = 0;
    gpu.cl.clGetDeviceInfo(gpu.device, CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof most, &most, NULL);
    if (most < network->work_group) {
        return gpu_fail("device ", gpu.name,
                        " takes smaller work groups than this was built for: build it for a target "
                        "with a smaller 'work_group'");
    }
    int32_t code = CL_SUCCESS;
    gpu.program = gpu.cl.clCreateProgramWithSource(gpu.context, 1, (const char **)&network->source,
                                                   &network->source_bytes, &code);
    if (code != CL_SUCCESS) {
        return gpu_fail_code("clCreateProgramWithSource", code);
    }
    code = gpu.cl.clBuildProgram(gpu.program, 1, &gpu.device, options, NULL, NULL);
    if (code != CL_SUCCESS) {
        char log[ERROR_BYTES * 4] = "";
        gpu.cl.clGetProgramBuildInfo(gpu.program, gpu.device, CL_PROGRAM_BUILD_LOG, sizeof log - 1,
                                     log, NULL);
        log[strcspn(log, "\n")] = '\0';
        return gpu_fail("the kernels do not compile on this device: ", log,
                        *log == '\0' ? "its driver says no more" : "");
    }
    return STATUS_OK;
}

static cl_object gpu_memory(uint64_t bytes) {
    int32_t code = CL_SUCCESS;
    /* Kernels load an element with its neighbours, as vectors. */
    size_t whole = (size_t)(bytes + PIXEL_BYTES - 1) / PIXEL_BYTES * PIXEL_BYTES;
    cl_object found = gpu.cl.clCreateBuffer(gpu.context, CL_MEM_READ_WRITE,
                                            whole == 0 ? PIXEL_BYTES : whole, NULL, &code);
    return code == CL_SUCCESS ? found : NULL;
}

/* The same words as an image, 256 pixels of four words wide. */
static int make_image(cl_object queue, cl_object buffer, uint64_t bytes, cl_object *image) {
    size_t pixels = (size_t)(bytes + PIXEL_BYTES - 1) / PIXEL_BYTES, rest = pixels % IMAGE_WIDTH;
    size_t rows = pixels / IMAGE_WIDTH;
    struct cl_image_format format = {CL_RGBA, CL_SIGNED_INT32};
    struct cl_image_desc description = {.type = CL_MEM_OBJECT_IMAGE2D};
    description.width = IMAGE_WIDTH;
    description.height = rows + (rest > 0);
    int32_t code = CL_SUCCESS;
    *image =
        gpu.cl.clCreateImage(gpu.context, CL_MEM_READ_ONLY, &format, &description, NULL, &code);
    size_t origin[3] = {0, 0, 0}, whole[3] = {IMAGE_WIDTH, rows, 1}, last[3] = {rest, 1, 1};
    if (code == CL_SUCCESS && rows > 0) {
        code = gpu.cl.clEnqueueCopyBufferToImage(queue, buffer, *image, 0, origin, whole, 0, NULL,
                                                 NULL);
    }
    origin[1] = rows;
    if (code == CL_SUCCESS && rest > 0) {
        code = gpu.cl.clEnqueueCopyBufferToImage(queue, buffer, *image,
                                                 rows * IMAGE_WIDTH * PIXEL_BYTES, origin, last, 0,
                                                 NULL, NULL);
    }
    return code == CL_SUCCESS ? STATUS_OK : gpu_fail_code("an image of weights", code);
}

static int gpu_upload(const struct network *network, const struct gpu_network *frame) {
    int32_t code = CL_SUCCESS;
    cl_object queue = gpu.cl.clCreateCommandQueue(gpu.context, gpu.device, 0, &code);
    if (code != CL_SUCCESS) {
        return gpu_fail_code("clCreateCommandQueue", code);
    }
    int status = STATUS_OK;
    for (uint32_t index = 0; index < frame->buffer_count && status == STATUS_OK; ++index) {
        const struct gpu_buffer *buffer = &frame->buffers[index];
        if (buffer->place != GPU_WEIGHTS) {
            continue;
        }
        frame->weights[index] = gpu_memory(buffer->bytes);
        if (frame->weights[index] == NULL) {
            status = gpu_fail("device ", gpu.name, " has no memory for the weights");
            break;
        }
        code = gpu.cl.clEnqueueWriteBuffer(queue, frame->weights[index], 1, 0,
                                           (size_t)buffer->bytes, network->weights + buffer->offset,
                                           0, NULL, NULL);
        if (code != CL_SUCCESS) {
            status = gpu_fail_code("clEnqueueWriteBuffer", code);
        } else if (buffer->is_image) {
            status = make_image(queue, frame->weights[index], buffer->bytes, &frame->images[index]);
        }
    }
    gpu.cl.clFinish(queue);
    gpu.cl.clReleaseCommandQueue(queue);
    return status;
}

static int gpu_open(const struct network *network, const struct gpu_network *frame) {
    intptr_t platform = 0;
    int32_t code = CL_SUCCESS;
    const char *named = library_named();
    if (!library_find(&gpu.cl, named)) {
        if (named != NULL) {
            return gpu_fail("MQNET_OPENCL_LIBRARY names no OpenCL library: ", named, "");
        }
        return gpu_fail("this machine has no OpenCL library (libOpenCL.so): install the driver of "
                        "its GPU, or name its library by MQNET_OPENCL_LIBRARY",
                        "", "");
    }
    if (!gpu_find_device(&platform)) {
        return gpu_fail("OpenCL knows no device on this machine: install the driver of its GPU", "",
                        "");
    }
    gpu.cl.clGetDeviceInfo(gpu.device, CL_DEVICE_NAME, sizeof gpu.name - 1, gpu.name, NULL);
    if (gpu.cl.clGetDeviceInfo(gpu.device, CL_DEVICE_EXTENSIONS, sizeof gpu.extensions - 1,
                               gpu.extensions, NULL) != CL_SUCCESS) {
        gpu.extensions[0] = '\0';
    }
    intptr_t properties[] = {CL_CONTEXT_PLATFORM, platform, 0};
    gpu.context = gpu.cl.clCreateContext(properties, 1, &gpu.device, NULL, NULL, &code);
    if (code != CL_SUCCESS) {
        return gpu_fail_code("clCreateContext", code);
    }
    int status = gpu_compile(frame);
    return status == STATUS_OK ? gpu_upload(network, frame) : status;
}

/* Makes the device ready, once; what went wrong is in `gpu.error`, and stays. */
static int gpu_ready(const struct network *network, const struct gpu_network *frame) {
    pthread_mutex_lock(&gpu.lock);
    if (gpu.state == GPU_UNTRIED) {
        gpu.state = gpu_open(network, frame) == STATUS_OK ? GPU_READY : GPU_FAILED;
    }
    int status = gpu.state == GPU_READY ? STATUS_OK : STATUS_DEVICE;
    pthread_mutex_unlock(&gpu.lock);
    return status;
}

#endif
