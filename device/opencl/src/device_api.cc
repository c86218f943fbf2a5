#include "device_api.h"

#include <tvm/ffi/reflection/registry.h>
#include <tvm/runtime/device_api.h>
#include <tvm/runtime/memory/memory_manager.h>

#include <mutex>
#include <string>
#include <unordered_map>

#include "attributes.h"
#include "buffers.h"
#include "devices.h"

namespace mqnet::opencl {
namespace {

namespace ffi = tvm::ffi;
namespace memory = tvm::runtime::memory;
using tvm::runtime::DeviceAPI;
using tvm::runtime::DeviceAttrKind;

thread_local int current_device = 0;

class OpenCLDeviceAPI final : public DeviceAPI {
 public:
  void SetDevice(DLDevice device) final { current_device = device.device_id; }

  void GetAttr(DLDevice device, DeviceAttrKind kind, ffi::Any* value) final {
    *value = DeviceAttribute(device.device_id, kind);
  }

  void GetTargetProperty(DLDevice device, const std::string& name, ffi::Any* value) final {
    *value = TargetProperty(GetDevice(device.device_id), name);
  }

  using DeviceAPI::AllocDataSpace;
  void* AllocDataSpace(DLDevice device, size_t bytes, size_t, DLDataType) final {
    return AllocateBuffer(GetDevice(device.device_id), bytes);
  }

  void FreeDataSpace(DLDevice, void* data) final { FreeBuffer(static_cast<Buffer*>(data)); }

  // Kernels ask for the same workspaces at every call: they come from TVM's pool.
  void* AllocWorkspace(DLDevice device, size_t bytes, DLDataType type) final {
    memory::Buffer workspace = Pool(device)->Alloc(device, bytes, 1, type);
    std::lock_guard<std::mutex> lock(mutex_);
    workspaces_.emplace(workspace.data, workspace);
    return workspace.data;
  }

  void FreeWorkspace(DLDevice device, void* data) final {
    memory::Buffer workspace;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      auto found = workspaces_.find(data);
      TVM_FFI_ICHECK(found != workspaces_.end()) << "not a workspace of OpenCL";
      workspace = found->second;
      workspaces_.erase(found);
    }
    Pool(device)->Free(workspace);
  }

  void StreamSync(DLDevice device, TVMStreamHandle) final {
    GetDevice(device.device_id).queue->Finish();
  }

 protected:
  using DeviceAPI::CopyDataFromTo;
  void CopyDataFromTo(const void* from, size_t from_offset, void* to, size_t to_offset,
                      size_t bytes, DLDevice from_device, DLDevice to_device, DLDataType,
                      TVMStreamHandle) final {
    if (bytes == 0) return;
    if (from_device.device_type != kDLOpenCL) {
      CopyToDevice(static_cast<const char*>(from) + from_offset, *static_cast<Buffer*>(to),
                   to_offset, bytes);
    } else if (to_device.device_type != kDLOpenCL) {
      CopyFromDevice(*static_cast<const Buffer*>(from), from_offset,
                     static_cast<char*>(to) + to_offset, bytes);
    } else {
      CopyBetweenBuffers(*static_cast<const Buffer*>(from), from_offset, *static_cast<Buffer*>(to),
                         to_offset, bytes);
    }
  }

 private:
  static memory::Allocator* Pool(DLDevice device) {
    return memory::MemoryManager::GetOrCreateAllocator(device, memory::AllocatorType::kPooled);
  }

  std::mutex mutex_;
  std::unordered_map<void*, memory::Buffer> workspaces_;
};

}  // namespace

int CurrentDevice() { return current_device; }

void RegisterDeviceApi() {
  ffi::reflection::GlobalDef().def("device_api.opencl", []() -> void* {
    static auto* api = new OpenCLDeviceAPI;
    return static_cast<DeviceAPI*>(api);
  });
}

}  // namespace mqnet::opencl
