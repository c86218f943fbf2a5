// The machine's OpenCL devices, found when the first one is asked for.
#ifndef MQNET_OPENCL_DEVICES_H_
#define MQNET_OPENCL_DEVICES_H_

#include <memory>
#include <string>
#include <vector>

#include "library.h"
#include "queue.h"

namespace mqnet::opencl {

struct Device {
  int number;
  const Library* library;
  cl_device_id id;
  cl_context context;
  std::string name, version, driver, platform, extensions;
  // The device works in the host's memory: buffers are mapped, not copied.
  bool shares_memory;
  // Rows of an image of two dimensions; 0 where there are no images.
  size_t max_image_rows = 0;
  size_t max_work_group, max_work_items[3];
  cl_ulong memory, max_buffer, local_memory;
  cl_uint compute_units, clock_mhz;
  std::unique_ptr<Queue> queue;

  bool HasExtension(const std::string& extension) const;
  // For error texts, as "device 0 (Mali-G610 r0p0)".
  std::string Describe() const;
};

// How many there are; 0 where there is no library. GPUs come first, then accelerators, then CPUs.
int DeviceCount();

// Throws where there is no such device, and in a process that was forked from one that had
// already asked: OpenCL does not survive a fork.
Device& GetDevice(int number);

// Whether this process may give back what it holds. A forked one may not: its parent does.
bool MayRelease();

}  // namespace mqnet::opencl

#endif  // MQNET_OPENCL_DEVICES_H_
