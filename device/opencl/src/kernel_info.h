// What TVM's code generator says of each kernel, and the bytes in which a module is kept.
#ifndef MQNET_OPENCL_KERNEL_INFO_H_
#define MQNET_OPENCL_KERNEL_INFO_H_

#include <tvm/ffi/container/array.h>
#include <tvm/ffi/container/map.h>
#include <tvm/ffi/dtype.h>
#include <tvm/ffi/string.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace mqnet::opencl {

// An object of libtvm_runtime, for which the wheel has no public header: its fields, in order, are
// those of src/runtime/metadata.h there.
class FunctionInfoObj : public tvm::ffi::Object {
 public:
  tvm::ffi::String name;
  tvm::ffi::Array<DLDataType> arg_types;
  tvm::ffi::Array<tvm::ffi::String> launch_param_tags;
  tvm::ffi::Array<int64_t> arg_extra_tags;
  TVM_FFI_DECLARE_OBJECT_INFO_FINAL("runtime.FunctionInfo", FunctionInfoObj, tvm::ffi::Object);
};

class FunctionInfo : public tvm::ffi::ObjectRef {
 public:
  TVM_FFI_DEFINE_OBJECT_REF_METHODS_NULLABLE(FunctionInfo, tvm::ffi::ObjectRef, FunctionInfoObj);
};

struct KernelInfo {
  std::string name;
  std::vector<DLDataType> argument_types;
  // One for each launch size, as "blockIdx.x".
  std::vector<std::string> launch_tags;
  std::vector<int32_t> extra_tags;
  // One for each argument: the kernel takes an image in the place of a buffer.
  std::vector<bool> takes_image;
};

struct ModuleContent {
  // "cl" for source; nothing else is made by TVM's code generator.
  std::string format;
  std::map<std::string, KernelInfo> kernels;
  std::string code;
};

std::map<std::string, KernelInfo> ReadKernels(
    const tvm::ffi::Map<tvm::ffi::String, FunctionInfo>& infos);

ModuleContent ReadModule(const tvm::ffi::Bytes& bytes);
tvm::ffi::Bytes WriteModule(const ModuleContent& module);

// Of each kernel in `source`, which of its parameters are images: the driver tells only of what it
// has compiled itself, not of a program that was kept.
std::map<std::string, std::vector<bool>> FindImages(const std::string& source);

}  // namespace mqnet::opencl

#endif  // MQNET_OPENCL_KERNEL_INFO_H_
