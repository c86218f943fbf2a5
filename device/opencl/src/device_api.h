// TVM's device "opencl".
#ifndef MQNET_OPENCL_DEVICE_API_H_
#define MQNET_OPENCL_DEVICE_API_H_

namespace mqnet::opencl {

// The device that TVM's code has chosen for the kernels that this thread launches next.
int CurrentDevice();

void RegisterDeviceApi();

}  // namespace mqnet::opencl

#endif  // MQNET_OPENCL_DEVICE_API_H_
