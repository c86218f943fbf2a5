#include "kernel.h"

#include <tvm/ffi/dtype.h>
#include <tvm/ffi/error.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "buffers.h"
#include "errors.h"

namespace mqnet::opencl {
namespace {

constexpr int kDimensions = 3;

int PlaceOf(const std::string& tag, const std::string& kernel) {
  const std::pair<const char*, int> kinds[] = {{"blockIdx.", 0}, {"threadIdx.", kDimensions}};
  for (const auto& [prefix, first] : kinds) {
    const size_t size = std::strlen(prefix);
    if (tag.size() == size + 1 && tag.compare(0, size, prefix) == 0 && tag[size] >= 'x' &&
        tag[size] <= 'z') {
      return first + (tag[size] - 'x');
    }
  }
  TVM_FFI_THROW(RuntimeError) << "kernel " << kernel << " is launched by '" << tag
                              << "', which OpenCL does not have: choose another schedule";
  TVM_FFI_UNREACHABLE();
}

}  // namespace

Kernel::Kernel(Device* device, std::shared_ptr<Program> program, const std::string& symbol,
               const KernelInfo* info)
    : device_(device), program_(std::move(program)), symbol_(symbol), info_(info) {
  for (const std::string& tag : info->launch_tags) {
    places_.push_back(PlaceOf(tag, symbol));
    dimensions_ = std::max<cl_uint>(dimensions_, places_.back() % kDimensions + 1);
  }
  cl_int code = CL_SUCCESS;
  kernel_ = device_->library->clCreateKernel(program_->get(), symbol.c_str(), &code);
  Check(code, "clCreateKernel of " + symbol);
  code =
      device_->library->clGetKernelWorkGroupInfo(kernel_, device_->id, CL_KERNEL_WORK_GROUP_SIZE,
                                                 sizeof max_work_group_, &max_work_group_, nullptr);
  if (code != CL_SUCCESS) {
    device_->library->clReleaseKernel(kernel_);
    Check(code, "clGetKernelWorkGroupInfo of " + symbol);
  }
}

Kernel::~Kernel() {
  if (MayRelease()) device_->library->clReleaseKernel(kernel_);
}

void Kernel::Launch(const tvm::ffi::AnyView* arguments, int count) {
  const size_t argument_count = info_->argument_types.size();
  if (static_cast<size_t>(count) != argument_count + places_.size()) {
    TVM_FFI_THROW(TypeError) << "kernel " << symbol_ << " takes " << argument_count + places_.size()
                             << " arguments, not " << count;
  }
  size_t sizes[2 * kDimensions];
  std::fill(std::begin(sizes), std::end(sizes), 1);
  for (size_t i = 0; i < places_.size(); ++i) {
    // An empty tensor makes an empty grid, which OpenCL does not take. Kernels check their bounds.
    sizes[places_[i]] = std::max<int64_t>(1, arguments[argument_count + i].cast<int64_t>());
  }
  const size_t* local = sizes + kDimensions;
  CheckWorkGroup(local);
  size_t global[kDimensions];
  for (int i = 0; i < kDimensions; ++i) global[i] = sizes[i] * local[i];

  std::lock_guard<std::mutex> lock(mutex_);
  for (size_t i = 0; i < argument_count; ++i) SetArgument(static_cast<cl_uint>(i), arguments[i]);
  device_->queue->Submit("launch of kernel " + symbol_ + " on " + device_->Describe(),
                         [&](cl_command_queue queue, cl_event* event) {
                           return device_->library->clEnqueueNDRangeKernel(
                               queue, kernel_, dimensions_, nullptr, global, local, 0, nullptr,
                               event);
                         });
}

void Kernel::SetArgument(cl_uint index, const tvm::ffi::AnyView& value) {
  const DLDataType type = info_->argument_types[index];
  const auto set = [&](auto argument) {
    Check(device_->library->clSetKernelArg(kernel_, index, sizeof argument, &argument),
          "argument " + std::to_string(index) + " of kernel " + symbol_);
  };
  if (type.code == kDLOpaqueHandle) {
    auto* buffer = static_cast<Buffer*>(value.cast<void*>());
    if (buffer == nullptr) return set(cl_mem{nullptr});
    if (info_->takes_image[index]) return set(AsImage(*buffer));
    // It may be what the kernel writes.
    DropImage(*buffer);
    return set(buffer->memory);
  }
  if (type.lanes == 1 && type.code == kDLFloat) {
    if (type.bits == 32) return set(static_cast<cl_float>(value.cast<double>()));
    if (type.bits == 64) return set(static_cast<cl_double>(value.cast<double>()));
  }
  if (type.lanes == 1 && (type.code == kDLInt || type.code == kDLUInt)) {
    // Both signs have the same bits.
    if (type.bits == 32) return set(static_cast<cl_int>(value.cast<int64_t>()));
    if (type.bits == 64) return set(static_cast<cl_long>(value.cast<int64_t>()));
  }
  TVM_FFI_THROW(TypeError) << "kernel " << symbol_ << " takes a number of type "
                           << tvm::ffi::DLDataTypeToString(type)
                           << ", which is none of int32, int64, float32, float64";
}

void Kernel::CheckWorkGroup(const size_t* local) const {
  const size_t items = local[0] * local[1] * local[2];
  const size_t* most = device_->max_work_items;
  if (items <= max_work_group_ && local[0] <= most[0] && local[1] <= most[1] &&
      local[2] <= most[2]) {
    return;
  }
  TVM_FFI_THROW(RuntimeError) << "kernel " << symbol_ << " has work groups of " << local[0] << "x"
                              << local[1] << "x" << local[2] << " = " << items << " items, and "
                              << device_->Describe() << " takes " << max_work_group_
                              << " of this kernel (" << most[0] << "x" << most[1] << "x" << most[2]
                              << " at most): build for a target with a smaller"
                              << " max_threads_per_block";
}

}  // namespace mqnet::opencl
