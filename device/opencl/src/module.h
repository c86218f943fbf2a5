// TVM's module "opencl": made by the code generator in this process, or loaded from a library.
#ifndef MQNET_OPENCL_MODULE_H_
#define MQNET_OPENCL_MODULE_H_

namespace mqnet::opencl {

void RegisterModule();

}  // namespace mqnet::opencl

#endif  // MQNET_OPENCL_MODULE_H_
