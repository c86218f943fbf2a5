// One compiled program for each module and device, from memory or from disk where it can be had.
#ifndef MQNET_OPENCL_PROGRAMS_H_
#define MQNET_OPENCL_PROGRAMS_H_

#include <memory>
#include <string>

#include "compile_program.h"

namespace mqnet::opencl {

std::shared_ptr<Program> GetProgram(const Device& device, const std::string& source);

void RegisterPrograms();

}  // namespace mqnet::opencl

#endif  // MQNET_OPENCL_PROGRAMS_H_
