// A kernel on one device: its arguments, its sizes, its launch.
#ifndef MQNET_OPENCL_KERNEL_H_
#define MQNET_OPENCL_KERNEL_H_

#include <tvm/ffi/any.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "compile_program.h"
#include "devices.h"
#include "kernel_info.h"

namespace mqnet::opencl {

class Kernel {
 public:
  // Throws where the code generator asks for something that OpenCL does not have.
  Kernel(Device* device, std::shared_ptr<Program> program, const std::string& symbol,
         const KernelInfo* info);
  ~Kernel();
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;

  // The arguments, then one size for each launch tag.
  void Launch(const tvm::ffi::AnyView* arguments, int count);

 private:
  void SetArgument(cl_uint index, const tvm::ffi::AnyView& value);
  void CheckWorkGroup(const size_t* local) const;

  Device* device_;
  std::shared_ptr<Program> program_;
  std::string symbol_;
  const KernelInfo* info_;
  cl_kernel kernel_ = nullptr;
  cl_uint dimensions_ = 1;
  // For each launch tag: groups of dimension 0, 1, 2, then work items of each.
  std::vector<int> places_;
  // Registers may leave less than the device's own limit.
  size_t max_work_group_ = 0;
  // OpenCL keeps arguments in the kernel: one launch must not see those of another thread's.
  std::mutex mutex_;
};

}  // namespace mqnet::opencl

#endif  // MQNET_OPENCL_KERNEL_H_
