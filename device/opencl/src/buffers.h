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
  size_t bytes;
  // The same content as an image, from the first kernel that asks for one to the next change.
  cl_mem image = nullptr;
};

Buffer* AllocateBuffer(Device& device, size_t bytes);
void FreeBuffer(Buffer* buffer);

// The content as an image of pixels of four int32, 256 in a row, for a kernel that reads it (and as
// compile/codegen/opencl/called_functions.py computes their places).
cl_mem AsImage(Buffer& buffer);
// To be called where the content may change.
void DropImage(Buffer& buffer);

void CopyToDevice(const void* from, Buffer& to, size_t to_offset, size_t bytes);
void CopyFromDevice(const Buffer& from, size_t from_offset, void* to, size_t bytes);
void CopyBetweenBuffers(const Buffer& from, size_t from_offset, Buffer& to, size_t to_offset,
                        size_t bytes);

}  // namespace mqnet::opencl

#endif  // MQNET_OPENCL_BUFFERS_H_
