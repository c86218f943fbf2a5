/* OpenCL 1.2 as far as a frame needs it, found at run time: no header and no library of OpenCL is
 * there when the network is built. */
#ifndef NATIVE_OPENCL_LIBRARY_H
#define NATIVE_OPENCL_LIBRARY_H

#include <dlfcn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef void *cl_object; /* platform, device, context, queue, program, kernel or memory */

struct cl_image_format {
    uint32_t order;
    uint32_t type;
};

struct cl_image_desc {
    uint32_t type;
    size_t width, height, depth, array_size, row_pitch, slice_pitch;
    uint32_t mip_levels, samples;
    cl_object memory;
};

enum {
    CL_SUCCESS = 0,
    CL_DEVICE_TYPE_CPU = 2,
    CL_DEVICE_TYPE_GPU = 4,
    CL_DEVICE_TYPE_ACCELERATOR = 8,
    CL_DEVICE_MAX_WORK_GROUP_SIZE = 0x1004,
    CL_DEVICE_IMAGE2D_MAX_HEIGHT = 0x1012,
    CL_DEVICE_NAME = 0x102B,
    CL_DEVICE_EXTENSIONS = 0x1030,
    CL_KERNEL_WORK_GROUP_SIZE = 0x11B0,
    CL_PROGRAM_BUILD_LOG = 0x1183,
    CL_CONTEXT_PLATFORM = 0x1084,
    CL_MEM_READ_WRITE = 1,
    CL_MEM_READ_ONLY = 4,
    CL_MEM_OBJECT_IMAGE2D = 0x10F1,
    CL_RGBA = 0x10B5,
    CL_SIGNED_INT32 = 0x10D9,
};

/* Result, name, parameters. */
#define CL_FUNCTIONS(X)                                                                            \
    X(int32_t, clGetPlatformIDs, (uint32_t, cl_object *, uint32_t *))                              \
    X(int32_t, clGetDeviceIDs, (cl_object, uint64_t, uint32_t, cl_object *, uint32_t *))           \
    X(int32_t, clGetDeviceInfo, (cl_object, uint32_t, size_t, void *, size_t *))                   \
    X(cl_object, clCreateContext,                                                                  \
      (const intptr_t *, uint32_t, const cl_object *, void *, void *, int32_t *))                  \
    X(cl_object, clCreateCommandQueue, (cl_object, cl_object, uint64_t, int32_t *))                \
    X(int32_t, clReleaseCommandQueue, (cl_object))                                                 \
    X(cl_object, clCreateProgramWithSource,                                                        \
      (cl_object, uint32_t, const char **, const size_t *, int32_t *))                             \
    X(int32_t, clBuildProgram,                                                                     \
      (cl_object, uint32_t, const cl_object *, const char *, void *, void *))                      \
    X(int32_t, clGetProgramBuildInfo,                                                              \
      (cl_object, cl_object, uint32_t, size_t, void *, size_t *))                                  \
    X(cl_object, clCreateKernel, (cl_object, const char *, int32_t *))                             \
    X(int32_t, clReleaseKernel, (cl_object))                                                       \
    X(int32_t, clGetKernelWorkGroupInfo,                                                           \
      (cl_object, cl_object, uint32_t, size_t, void *, size_t *))                                  \
    X(int32_t, clSetKernelArg, (cl_object, uint32_t, size_t, const void *))                        \
    X(cl_object, clCreateBuffer, (cl_object, uint64_t, size_t, void *, int32_t *))                 \
    X(cl_object, clCreateImage,                                                                    \
      (cl_object, uint64_t, const struct cl_image_format *, const struct cl_image_desc *, void *,  \
       int32_t *))                                                                                 \
    X(int32_t, clReleaseMemObject, (cl_object))                                                    \
    X(int32_t, clEnqueueWriteBuffer,                                                               \
      (cl_object, cl_object, uint32_t, size_t, size_t, const void *, uint32_t, const cl_object *,  \
       cl_object *))                                                                               \
    X(int32_t, clEnqueueReadBuffer,                                                                \
      (cl_object, cl_object, uint32_t, size_t, size_t, void *, uint32_t, const cl_object *,        \
       cl_object *))                                                                               \
    X(int32_t, clEnqueueCopyBufferToImage,                                                         \
      (cl_object, cl_object, cl_object, size_t, const size_t *, const size_t *, uint32_t,          \
       const cl_object *, cl_object *))                                                            \
    X(int32_t, clEnqueueNDRangeKernel,                                                             \
      (cl_object, cl_object, uint32_t, const size_t *, const size_t *, const size_t *, uint32_t,   \
       const cl_object *, cl_object *))                                                            \
    X(int32_t, clFinish, (cl_object))

struct cl_library {
#define CL_MEMBER(result, name, parameters) result(*name) parameters;
    CL_FUNCTIONS(CL_MEMBER)
#undef CL_MEMBER
};

/* Whether `name` can be opened and has all functions. */
static int library_open(struct cl_library *library, const char *name) {
    void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (handle == NULL) {
        return 0;
    }
    void *found;
#define CL_FIND(result, name, parameters)                                                          \
    found = dlsym(handle, #name);                                                                  \
    if (found == NULL) {                                                                           \
        dlclose(handle);                                                                           \
        return 0;                                                                                  \
    }                                                                                              \
    memcpy(&library->name, &found, sizeof found);
    CL_FUNCTIONS(CL_FIND)
#undef CL_FIND
    return 1;
}

/* The library that the user asks for; NULL where that is none. */
static const char *library_named(void) {
    const char *named = getenv("MQNET_OPENCL_LIBRARY");
    return named != NULL && *named != '\0' ? named : NULL;
}

/* The library that is `named`, or the first of those that are known: loaders first, which know
 * every driver of a machine, then the drivers of Android and of boards. */
static int library_find(struct cl_library *library, const char *named) {
    static const char *const known[] = {"libOpenCL.so.1",
                                        "libOpenCL.so",
                                        "/vendor/lib64/libOpenCL.so",
                                        "/system/vendor/lib64/libOpenCL.so",
                                        "/vendor/lib64/egl/libGLES_mali.so",
                                        "libmali.so.1",
                                        "libmali.so"};
    if (named != NULL) {
        return library_open(library, named);
    }
    for (size_t index = 0; index < sizeof known / sizeof *known; ++index) {
        if (library_open(library, known[index])) {
            return 1;
        }
    }
    return 0;
}

#endif
