// OpenCL C to a program, and why it does not compile.
#ifndef MQNET_OPENCL_COMPILE_PROGRAM_H_
#define MQNET_OPENCL_COMPILE_PROGRAM_H_

#include <memory>
#include <string>

#include "devices.h"

namespace mqnet::opencl {

class Program {
 public:
  Program(const Library* library, cl_program program) : library_(library), program_(program) {}
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  cl_program get() const { return program_; }
  // What the driver made of the source; empty where it does not give that away.
  std::string Binary() const;

 private:
  const Library* library_;
  cl_program program_;
};

// Throws with the names of the kernels at fault, the compiler's log and the path of the source.
std::shared_ptr<Program> CompileSource(const Device& device, const std::string& source);

// Nothing where the driver does not take the binary.
std::shared_ptr<Program> LoadBinary(const Device& device, const std::string& binary);

}  // namespace mqnet::opencl

#endif  // MQNET_OPENCL_COMPILE_PROGRAM_H_
