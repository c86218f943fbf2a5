// The OpenCL library of the machine, opened at run time: one plugin serves every driver, and loads
// where there is none.
#ifndef MQNET_OPENCL_LIBRARY_H_
#define MQNET_OPENCL_LIBRARY_H_

#define CL_TARGET_OPENCL_VERSION 120
#define CL_USE_DEPRECATED_OPENCL_1_2_APIS
#include <CL/cl.h>

#include <optional>
#include <string>

namespace mqnet::opencl {

// OpenCL 1.2 has all of them. clCreateCommandQueue is deprecated since 2.0, and its successor is
// missing in the drivers of older boards.
#define MQNET_OPENCL_FUNCTIONS(X) \
  X(clBuildProgram)               \
  X(clCreateBuffer)               \
  X(clCreateCommandQueue)         \
  X(clCreateContext)              \
  X(clCreateImage)                \
  X(clCreateKernel)               \
  X(clCreateProgramWithBinary)    \
  X(clCreateProgramWithSource)    \
  X(clEnqueueCopyBuffer)          \
  X(clEnqueueCopyBufferToImage)   \
  X(clEnqueueMapBuffer)           \
  X(clEnqueueNDRangeKernel)       \
  X(clEnqueueReadBuffer)          \
  X(clEnqueueUnmapMemObject)      \
  X(clEnqueueWriteBuffer)         \
  X(clFinish)                     \
  X(clGetDeviceIDs)               \
  X(clGetDeviceInfo)              \
  X(clGetEventProfilingInfo)      \
  X(clGetKernelWorkGroupInfo)     \
  X(clGetPlatformIDs)             \
  X(clGetPlatformInfo)            \
  X(clGetProgramBuildInfo)        \
  X(clGetProgramInfo)             \
  X(clReleaseCommandQueue)        \
  X(clReleaseContext)             \
  X(clReleaseEvent)               \
  X(clReleaseKernel)              \
  X(clReleaseMemObject)           \
  X(clReleaseProgram)             \
  X(clRetainEvent)                \
  X(clSetKernelArg)               \
  X(clWaitForEvents)

struct Library {
  std::string name;
#define MQNET_OPENCL_MEMBER(function) decltype(&::function) function = nullptr;
  MQNET_OPENCL_FUNCTIONS(MQNET_OPENCL_MEMBER)
#undef MQNET_OPENCL_MEMBER
};

// Nothing where it cannot be opened or lacks a function; `why_not` then says why.
std::optional<Library> OpenLibrary(const std::string& name, std::string* why_not);

}  // namespace mqnet::opencl

#endif  // MQNET_OPENCL_LIBRARY_H_
