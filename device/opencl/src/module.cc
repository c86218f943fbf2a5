#include "module.h"

#include <tvm/ffi/cast.h>
#include <tvm/ffi/error.h>
#include <tvm/ffi/extra/module.h>
#include <tvm/ffi/reflection/registry.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "device_api.h"
#include "devices.h"
#include "kernel.h"
#include "kernel_info.h"
#include "programs.h"

namespace mqnet::opencl {
namespace {

namespace ffi = tvm::ffi;

class OpenCLModule final : public ffi::ModuleObj {
 public:
  explicit OpenCLModule(ModuleContent content) : content_(std::move(content)) {
    if (content_.format != "cl") {
      TVM_FFI_THROW(RuntimeError) << "an OpenCL module in format '" << content_.format
                                  << "': only source (cl) can be run";
    }
    std::map<std::string, std::vector<bool>> images = FindImages(content_.code);
    for (auto& [symbol, kernel] : content_.kernels) {
      kernel.takes_image = std::move(images[symbol]);
      TVM_FFI_ICHECK(kernel.takes_image.size() == kernel.argument_types.size())
          << "the source of kernel " << symbol << " has other parameters than its module says";
    }
  }

  const char* kind() const final { return "opencl"; }
  int GetPropertyMask() const final {
    return ffi::Module::kBinarySerializable | ffi::Module::kRunnable;
  }
  ffi::Bytes SaveToBytes() const final { return WriteModule(content_); }
  ffi::String InspectSource(const ffi::String&) const final { return content_.code; }

  ffi::Optional<ffi::Function> GetFunction(const ffi::String& name) final {
    auto found = content_.kernels.find(name);
    if (found == content_.kernels.end()) return std::nullopt;
    ffi::ObjectPtr<OpenCLModule> self = ffi::GetObjectPtr<OpenCLModule>(this);
    const auto* entry = &*found;
    return ffi::Function::FromPacked(
        [self, entry](const ffi::AnyView* arguments, int32_t count, ffi::Any*) {
          self->OnCurrentDevice(entry->first, entry->second).Launch(arguments, count);
        });
  }

 private:
  Kernel& OnCurrentDevice(const std::string& symbol, const KernelInfo& info) {
    Device& device = GetDevice(CurrentDevice());
    std::lock_guard<std::mutex> lock(mutex_);
    std::unique_ptr<Kernel>& kernel = kernels_[{device.number, symbol}];
    if (kernel == nullptr) {
      std::shared_ptr<Program>& program = programs_[device.number];
      if (program == nullptr) program = GetProgram(device, content_.code);
      kernel = std::make_unique<Kernel>(&device, program, symbol, &info);
    }
    return *kernel;
  }

  ModuleContent content_;
  std::mutex mutex_;
  std::map<int, std::shared_ptr<Program>> programs_;
  std::map<std::pair<int, std::string>, std::unique_ptr<Kernel>> kernels_;
};

ffi::Module MakeModule(ModuleContent content) {
  return ffi::Module(ffi::make_object<OpenCLModule>(std::move(content)));
}

}  // namespace

void RegisterModule() {
  ffi::reflection::GlobalDef()
      .def("ffi.Module.load_from_bytes.opencl",
           [](const ffi::Bytes& bytes) { return MakeModule(ReadModule(bytes)); })
      .def("ffi.Module.create.opencl", [](const ffi::Bytes& code, const ffi::String& format,
                                          const ffi::Map<ffi::String, FunctionInfo>& kernels,
                                          const ffi::Map<ffi::String, ffi::String>&) {
        return MakeModule({format, ReadKernels(kernels), code});
      });
}

}  // namespace mqnet::opencl
