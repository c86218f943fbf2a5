#include "kernel_info.h"

#include <tvm/ffi/endian.h>
#include <tvm/ffi/error.h>

#include <cstring>
#include <sstream>
#include <utility>

namespace mqnet::opencl {
namespace {

static_assert(TVM_FFI_IO_NO_ENDIAN_SWAP, "module bytes are little-endian, and read as they are");

class Reader {
 public:
  explicit Reader(const tvm::ffi::Bytes& bytes)
      : next_(bytes.data()), end_(bytes.data() + bytes.size()) {}

  template <typename T>
  T Number() {
    T value;
    std::memcpy(&value, Take(sizeof value), sizeof value);
    return value;
  }

  std::string Text() {
    uint64_t size = Number<uint64_t>();
    const char* start = Take(size);
    return std::string(start, size);
  }

  template <typename F>
  void Repeat(F read_one) {
    for (uint64_t left = Number<uint64_t>(); left > 0; --left) read_one();
  }

 private:
  const char* Take(uint64_t size) {
    if (size > static_cast<uint64_t>(end_ - next_)) {
      TVM_FFI_THROW(RuntimeError) << "an OpenCL module is cut short: build the library again";
    }
    const char* start = next_;
    next_ += size;
    return start;
  }

  const char *next_, *end_;
};

class Writer {
 public:
  template <typename T>
  void Number(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }

  void Text(const std::string& text) {
    Number<uint64_t>(text.size());
    bytes_ += text;
  }

  tvm::ffi::Bytes Done() { return tvm::ffi::Bytes(std::move(bytes_)); }

 private:
  std::string bytes_;
};

KernelInfo ReadKernel(Reader& reader) {
  KernelInfo kernel;
  kernel.name = reader.Text();
  reader.Repeat([&] {
    DLDataType type;
    type.code = reader.Number<uint8_t>();
    type.bits = reader.Number<uint8_t>();
    type.lanes = reader.Number<uint16_t>();
    kernel.argument_types.push_back(type);
  });
  reader.Repeat([&] { kernel.launch_tags.push_back(reader.Text()); });
  reader.Repeat([&] { kernel.extra_tags.push_back(reader.Number<int32_t>()); });
  return kernel;
}

void WriteKernel(Writer& writer, const KernelInfo& kernel) {
  writer.Text(kernel.name);
  writer.Number<uint64_t>(kernel.argument_types.size());
  for (DLDataType type : kernel.argument_types) {
    writer.Number<uint8_t>(type.code);
    writer.Number<uint8_t>(type.bits);
    writer.Number<uint16_t>(type.lanes);
  }
  writer.Number<uint64_t>(kernel.launch_tags.size());
  for (const std::string& tag : kernel.launch_tags) writer.Text(tag);
  writer.Number<uint64_t>(kernel.extra_tags.size());
  for (int32_t tag : kernel.extra_tags) writer.Number<int32_t>(tag);
}

}  // namespace

std::map<std::string, KernelInfo> ReadKernels(
    const tvm::ffi::Map<tvm::ffi::String, FunctionInfo>& infos) {
  std::map<std::string, KernelInfo> kernels;
  for (const auto& [name, info] : infos) {
    KernelInfo& kernel = kernels[name];
    kernel.name = info->name;
    kernel.argument_types.assign(info->arg_types.begin(), info->arg_types.end());
    kernel.launch_tags.assign(info->launch_param_tags.begin(), info->launch_param_tags.end());
    kernel.extra_tags.assign(info->arg_extra_tags.begin(), info->arg_extra_tags.end());
  }
  return kernels;
}

ModuleContent ReadModule(const tvm::ffi::Bytes& bytes) {
  Reader reader(bytes);
  ModuleContent module;
  module.format = reader.Text();
  reader.Repeat([&] {
    std::string name = reader.Text();
    module.kernels.emplace(std::move(name), ReadKernel(reader));
  });
  module.code = reader.Text();
  return module;
}

tvm::ffi::Bytes WriteModule(const ModuleContent& module) {
  Writer writer;
  writer.Text(module.format);
  writer.Number<uint64_t>(module.kernels.size());
  for (const auto& [name, kernel] : module.kernels) {
    writer.Text(name);
    WriteKernel(writer, kernel);
  }
  writer.Text(module.code);
  return writer.Done();
}

std::map<std::string, std::vector<bool>> FindImages(const std::string& source) {
  const std::string mark = "__kernel void ";
  std::map<std::string, std::vector<bool>> found;
  for (size_t at = source.find(mark); at != std::string::npos; at = source.find(mark, at)) {
    const size_t name = at + mark.size(), open = source.find('(', name);
    at = source.find(')', open);
    if (at == std::string::npos) break;
    std::istringstream parameters(source.substr(open + 1, at - open - 1));
    std::vector<bool> images;
    for (std::string parameter; std::getline(parameters, parameter, ',');) {
      images.push_back(parameter.find("image2d_t") != std::string::npos);
    }
    // A declaration says the same as the kernel behind it.
    found[source.substr(name, open - name)] = std::move(images);
  }
  return found;
}

}  // namespace mqnet::opencl
