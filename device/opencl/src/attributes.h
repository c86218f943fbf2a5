// What TVM asks a device about.
#ifndef MQNET_OPENCL_ATTRIBUTES_H_
#define MQNET_OPENCL_ATTRIBUTES_H_

#include <tvm/runtime/device_api.h>

#include <string>

#include "devices.h"

namespace mqnet::opencl {

// None where OpenCL has no such figure. Whether a device exists can be asked of any number.
tvm::ffi::Any DeviceAttribute(int number, tvm::runtime::DeviceAttrKind kind);

// The field `name` of a target that is made from the device; None where its default may stay.
tvm::ffi::Any TargetProperty(const Device& device, const std::string& name);

void RegisterAttributes();

}  // namespace mqnet::opencl

#endif  // MQNET_OPENCL_ATTRIBUTES_H_
