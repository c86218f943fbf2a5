#include "attributes.h"

#include <tvm/ffi/container/map.h>
#include <tvm/ffi/reflection/registry.h>

#include <cstdio>

namespace mqnet::opencl {
namespace {

namespace ffi = tvm::ffi;
namespace runtime = tvm::runtime;

// OpenCL cannot be asked for it; TVM's target has the same default.
constexpr int64_t kWarpSize = 1;

struct Version {
  int major = 0, minor = 0;
};

// Of a text as "OpenCL 3.0 v1.r32p1", whose beginning the standard prescribes.
Version ReadVersion(const std::string& text) {
  Version version;
  TVM_FFI_ICHECK(std::sscanf(text.c_str(), "OpenCL %d.%d", &version.major, &version.minor) == 2)
      << "an OpenCL device calls its version '" << text << "'";
  return version;
}

std::string WorkItems(const Device& device) {
  const size_t* items = device.max_work_items;
  return "[" + std::to_string(items[0]) + ", " + std::to_string(items[1]) + ", " +
         std::to_string(items[2]) + "]";
}

ffi::Map<ffi::String, ffi::Any> Describe(int number) {
  const Device& device = GetDevice(number);
  return {
      {"name", ffi::String(device.name)},
      {"library", ffi::String(device.library->name)},
      {"platform", ffi::String(device.platform)},
      {"version", ffi::String(device.version)},
      {"driver", ffi::String(device.driver)},
      {"extensions", ffi::String(device.extensions)},
      {"fp16", device.HasExtension("cl_khr_fp16")},
      {"shares_memory", device.shares_memory},
      {"max_buffer", static_cast<int64_t>(device.max_buffer)},
  };
}

}  // namespace

ffi::Any DeviceAttribute(int number, runtime::DeviceAttrKind kind) {
  if (kind == runtime::kExist) return static_cast<int64_t>(number >= 0 && number < DeviceCount());
  const Device& device = GetDevice(number);
  switch (kind) {
    case runtime::kMaxThreadsPerBlock:
      return static_cast<int64_t>(device.max_work_group);
    case runtime::kWarpSize:
      return kWarpSize;
    case runtime::kMaxSharedMemoryPerBlock:
      return static_cast<int64_t>(device.local_memory);
    case runtime::kComputeVersion: {
      Version version = ReadVersion(device.version);
      return ffi::String(std::to_string(version.major) + "." + std::to_string(version.minor));
    }
    case runtime::kDeviceName:
      return ffi::String(device.name);
    case runtime::kMaxClockRate:
      // In kHz, as of TVM's other devices.
      return static_cast<int64_t>(device.clock_mhz) * 1000;
    case runtime::kMultiProcessorCount:
      return static_cast<int64_t>(device.compute_units);
    case runtime::kMaxThreadDimensions:
      return ffi::String(WorkItems(device));
    case runtime::kApiVersion: {
      Version version = ReadVersion(device.version);
      return static_cast<int64_t>(version.major * 100 + version.minor * 10);
    }
    case runtime::kDriverVersion:
      return ffi::String(device.driver);
    case runtime::kTotalGlobalMemory:
      return static_cast<int64_t>(device.memory);
    default:
      return nullptr;
  }
}

ffi::Any TargetProperty(const Device& device, const std::string& name) {
  if (name == "max_threads_per_block" || name == "max_num_threads") {
    return static_cast<int64_t>(device.max_work_group);
  }
  if (name == "max_shared_memory_per_block") return static_cast<int64_t>(device.local_memory);
  if (name == "thread_warp_size") return kWarpSize;
  return nullptr;
}

void RegisterAttributes() {
  ffi::reflection::GlobalDef().def("mqnet.opencl.describe_device", Describe);
}

}  // namespace mqnet::opencl
