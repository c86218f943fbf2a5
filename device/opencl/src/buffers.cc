#include "buffers.h"

#include <tvm/ffi/error.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <utility>

#include "errors.h"

namespace mqnet::opencl {
namespace {

// A buffer's bytes at an address of the host, from construction to Close().
class Mapping {
 public:
  Mapping(const Buffer& buffer, size_t offset, size_t bytes, cl_map_flags access)
      : device_(GetDevice(buffer.device)), memory_(buffer.memory) {
    device_.queue->Submit("clEnqueueMapBuffer", [&](cl_command_queue queue, cl_event* event) {
      cl_int code = CL_SUCCESS;
      address_ = device_.library->clEnqueueMapBuffer(queue, memory_, CL_TRUE, access, offset, bytes,
                                                     0, nullptr, event, &code);
      return code;
    });
  }
  ~Mapping() {
    // Only after an error of the other side of a copy, which is the one that is reported.
    try {
      Close();
    } catch (const tvm::ffi::Error&) {
    }
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;

  void* address() const { return address_; }

  void Close() {
    if (address_ == nullptr) return;
    void* address = std::exchange(address_, nullptr);
    device_.queue->Submit("clEnqueueUnmapMemObject", [&](cl_command_queue queue, cl_event* event) {
      return device_.library->clEnqueueUnmapMemObject(queue, memory_, address, 0, nullptr, event);
    });
  }

 private:
  Device& device_;
  cl_mem memory_;
  void* address_ = nullptr;
};

// Whole vectors, for kernels load an element with its neighbours.
constexpr size_t kVector = 16;
constexpr size_t kImageRow = 256;

std::mutex image_mutex;

cl_mem CreateImage(const Device& device, size_t rows) {
  if (rows > device.max_image_rows) {
    TVM_FFI_THROW(RuntimeError) << device.Describe() << " has images of up to "
                                << device.max_image_rows << " rows, and the weights of a kernel "
                                << "take " << rows << ": build it without images, or tune it on "
                                << "this device";
  }
  const cl_image_format format = {CL_RGBA, CL_SIGNED_INT32};
  cl_image_desc description = {};
  description.image_type = CL_MEM_OBJECT_IMAGE2D;
  description.image_width = kImageRow;
  description.image_height = rows;
  cl_int code = CL_SUCCESS;
  cl_mem image = device.library->clCreateImage(device.context, CL_MEM_READ_ONLY, &format,
                                               &description, nullptr, &code);
  Check(code, "clCreateImage on " + device.Describe());
  return image;
}

void CopyRows(const Device& device, const Buffer& from, cl_mem image, size_t row, size_t rows,
              size_t pixels) {
  if (rows == 0 || pixels == 0) return;
  const size_t origin[] = {0, row, 0}, region[] = {pixels, rows, 1};
  device.queue->Submit("clEnqueueCopyBufferToImage", [&](cl_command_queue queue, cl_event* event) {
    return device.library->clEnqueueCopyBufferToImage(
        queue, from.memory, image, row * kImageRow * kVector, origin, region, 0, nullptr, event);
  });
}

}  // namespace

Buffer* AllocateBuffer(Device& device, size_t bytes) {
  cl_int code = CL_SUCCESS;
  // Where memory is shared, this flag is what lets the driver map instead of copy.
  const cl_mem_flags flags =
      CL_MEM_READ_WRITE | (device.shares_memory ? CL_MEM_ALLOC_HOST_PTR : cl_mem_flags{0});
  // No empty buffers: OpenCL has none, and TVM has empty tensors.
  const size_t whole = std::max<size_t>((bytes + kVector - 1) / kVector, 1) * kVector;
  cl_mem memory = device.library->clCreateBuffer(device.context, flags, whole, nullptr, &code);
  if (code != CL_SUCCESS) {
    TVM_FFI_THROW(RuntimeError) << device.Describe() << " cannot give a buffer of " << bytes
                                << " bytes (it has " << device.memory << " in all, and "
                                << device.max_buffer << " for one buffer): " << ErrorName(code)
                                << "; use a smaller picture, or free what else uses the device";
  }
  return new Buffer{memory, device.number, whole};
}

void FreeBuffer(Buffer* buffer) {
  if (MayRelease()) {
    DropImage(*buffer);
    // OpenCL keeps the memory until the commands that use it have ended.
    Check(GetDevice(buffer->device).library->clReleaseMemObject(buffer->memory),
          "clReleaseMemObject");
  }
  delete buffer;
}

cl_mem AsImage(Buffer& buffer) {
  std::lock_guard<std::mutex> lock(image_mutex);
  if (buffer.image != nullptr) return buffer.image;
  Device& device = GetDevice(buffer.device);
  const size_t pixels = buffer.bytes / kVector, whole_rows = pixels / kImageRow;
  const size_t rest = pixels % kImageRow;
  cl_mem image = CreateImage(device, whole_rows + (rest > 0));
  try {
    CopyRows(device, buffer, image, 0, whole_rows, kImageRow);
    CopyRows(device, buffer, image, whole_rows, 1, rest);
  } catch (const tvm::ffi::Error&) {
    device.library->clReleaseMemObject(image);
    throw;
  }
  return buffer.image = image;
}

void DropImage(Buffer& buffer) {
  std::lock_guard<std::mutex> lock(image_mutex);
  if (buffer.image == nullptr) return;
  // As of a buffer: commands that use it keep it.
  Check(GetDevice(buffer.device).library->clReleaseMemObject(std::exchange(buffer.image, nullptr)),
        "clReleaseMemObject");
}

void CopyToDevice(const void* from, Buffer& to, size_t to_offset, size_t bytes) {
  DropImage(to);
  Device& device = GetDevice(to.device);
  if (device.shares_memory) {
    Mapping mapping(to, to_offset, bytes, CL_MAP_WRITE_INVALIDATE_REGION);
    std::memcpy(mapping.address(), from, bytes);
    mapping.Close();
    return;
  }
  device.queue->Submit("clEnqueueWriteBuffer", [&](cl_command_queue queue, cl_event* event) {
    return device.library->clEnqueueWriteBuffer(queue, to.memory, CL_TRUE, to_offset, bytes, from,
                                                0, nullptr, event);
  });
}

void CopyFromDevice(const Buffer& from, size_t from_offset, void* to, size_t bytes) {
  Device& device = GetDevice(from.device);
  if (device.shares_memory) {
    Mapping mapping(from, from_offset, bytes, CL_MAP_READ);
    std::memcpy(to, mapping.address(), bytes);
    mapping.Close();
    return;
  }
  device.queue->Submit("clEnqueueReadBuffer", [&](cl_command_queue queue, cl_event* event) {
    return device.library->clEnqueueReadBuffer(queue, from.memory, CL_TRUE, from_offset, bytes, to,
                                               0, nullptr, event);
  });
}

void CopyBetweenBuffers(const Buffer& from, size_t from_offset, Buffer& to, size_t to_offset,
                        size_t bytes) {
  DropImage(to);
  if (from.device != to.device) {
    // Each device has a context of its own, and no command spans two of them.
    Mapping source(from, from_offset, bytes, CL_MAP_READ);
    CopyToDevice(source.address(), to, to_offset, bytes);
    source.Close();
    return;
  }
  Device& device = GetDevice(from.device);
  device.queue->Submit("clEnqueueCopyBuffer", [&](cl_command_queue queue, cl_event* event) {
    return device.library->clEnqueueCopyBuffer(queue, from.memory, to.memory, from_offset,
                                               to_offset, bytes, 0, nullptr, event);
  });
}

}  // namespace mqnet::opencl
