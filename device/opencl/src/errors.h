// OpenCL's error codes as TVM's errors.
#ifndef MQNET_OPENCL_ERRORS_H_
#define MQNET_OPENCL_ERRORS_H_

#include <string>

#include "library.h"

namespace mqnet::opencl {

// As "CL_OUT_OF_RESOURCES (-5)".
std::string ErrorName(cl_int code);

// Throws a RuntimeError that names what failed, unless `code` is CL_SUCCESS.
void Check(cl_int code, const std::string& what);

}  // namespace mqnet::opencl

#endif  // MQNET_OPENCL_ERRORS_H_
