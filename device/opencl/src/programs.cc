#include "programs.h"

#include <tvm/ffi/container/map.h>
#include <tvm/ffi/reflection/registry.h>
#include <tvm/runtime/logging.h>

#include <map>
#include <mutex>
#include <optional>

#include "program_files.h"

namespace mqnet::opencl {
namespace {

namespace ffi = tvm::ffi;

std::mutex mutex;
// Those of living modules: a program goes with its last module, and its file stays.
std::map<std::pair<int, std::string>, std::weak_ptr<Program>> living;

struct {
  int64_t compiled = 0, from_memory = 0, from_disk = 0;
} counts;

// All that the binary depends on.
std::string Identity(const Device& device, const std::string& source) {
  return device.name + "\n" + device.version + "\n" + device.driver + "\n" + device.platform +
         "\n" + source;
}

std::shared_ptr<Program> FromDisk(const Device& device, const std::string& identity) {
  const std::optional<std::string> binary = ReadProgramFile(identity);
  if (!binary) return nullptr;
  std::shared_ptr<Program> program = LoadBinary(device, *binary);
  if (program == nullptr) {
    LOG(WARNING) << device.Describe() << " does not take a program that it had compiled itself:"
                 << " it is compiled again";
  }
  return program;
}

}  // namespace

std::shared_ptr<Program> GetProgram(const Device& device, const std::string& source) {
  std::lock_guard<std::mutex> lock(mutex);
  std::weak_ptr<Program>& place = living[{device.number, source}];
  if (std::shared_ptr<Program> program = place.lock()) {
    ++counts.from_memory;
    return program;
  }
  const std::string identity = Identity(device, source);
  std::shared_ptr<Program> program = FromDisk(device, identity);
  if (program != nullptr) {
    ++counts.from_disk;
  } else {
    program = CompileSource(device, source);
    ++counts.compiled;
    WriteProgramFile(identity, program->Binary());
  }
  place = program;
  return program;
}

void RegisterPrograms() {
  ffi::reflection::GlobalDef().def("mqnet.opencl.program_counts", [] {
    std::lock_guard<std::mutex> lock(mutex);
    return ffi::Map<ffi::String, int64_t>{{"compiled", counts.compiled},
                                          {"from_memory", counts.from_memory},
                                          {"from_disk", counts.from_disk}};
  });
}

}  // namespace mqnet::opencl
