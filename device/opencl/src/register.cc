// What TVM knows of the plugin once it is loaded.
#include <tvm/ffi/function.h>
#include <tvm/runtime/logging.h>

#include "attributes.h"
#include "device_api.h"
#include "module.h"
#include "programs.h"
#include "timer.h"

namespace mqnet::opencl {

TVM_FFI_STATIC_INIT_BLOCK() {
  // A second copy, or a TVM that was built with OpenCL: tensors of one are none of the other.
  if (tvm::ffi::Function::GetGlobal("device_api.opencl").has_value()) {
    LOG(WARNING) << "TVM has an OpenCL device already: this plugin stays out";
    return;
  }
  RegisterDeviceApi();
  RegisterAttributes();
  RegisterModule();
  RegisterPrograms();
  RegisterTimer();
}

}  // namespace mqnet::opencl
