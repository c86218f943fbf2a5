// Memory of a device, and copies between it and the host.
#ifndef MQNET_OPENCL_BUFFERS_H_
#define MQNET_OPENCL_BUFFERS_H_

#include <cstddef>

#include "devices.h"

namespace mqnet::opencl {

// What TVM takes for the address of a tensor's data.
struct Buffer {
  cl_mem memory;
  int device;
};

Buffer* AllocateBuffer(Device& device, size_t bytes);
void FreeBuffer(Buffer* buffer);

void CopyToDevice(const void* from, const Buffer& to, size_t to_offset, size_t bytes);
void CopyFromDevice(const Buffer& from, size_t from_offset, void* to, size_t bytes);
void CopyBetweenBuffers(const Buffer& from, size_t from_offset, const Buffer& to, size_t to_offset,
                        size_t bytes);

}  // namespace mqnet::opencl

#endif  // MQNET_OPENCL_BUFFERS_H_
