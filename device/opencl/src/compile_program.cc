#include "compile_program.h"

#include <tvm/ffi/error.h>

#include <sstream>
#include <utility>
#include <vector>

#include "errors.h"
#include "program_files.h"

namespace mqnet::opencl {
namespace {

// TVM's code generator writes this line before each kernel, and then all that the kernel needs.
constexpr const char* kKernelMark = "// Function: ";

struct Part {
  std::string name, source;
};

std::vector<Part> SplitKernels(const std::string& source) {
  const size_t mark_size = std::char_traits<char>::length(kKernelMark);
  std::vector<Part> parts;
  size_t start = source.find(kKernelMark);
  while (start != std::string::npos) {
    size_t next = source.find(kKernelMark, start + mark_size);
    Part part;
    part.source = source.substr(start, next == std::string::npos ? next : next - start);
    part.name = part.source.substr(mark_size, part.source.find('\n') - mark_size);
    parts.push_back(std::move(part));
    start = next;
  }
  return parts;
}

std::string BuildLog(const Device& device, cl_program program) {
  size_t size = 0;
  if (device.library->clGetProgramBuildInfo(program, device.id, CL_PROGRAM_BUILD_LOG, 0, nullptr,
                                            &size) != CL_SUCCESS) {
    return "(the driver has no log)";
  }
  std::string log(size, '\0');
  Check(device.library->clGetProgramBuildInfo(program, device.id, CL_PROGRAM_BUILD_LOG, size,
                                              log.data(), nullptr),
        "clGetProgramBuildInfo");
  log.resize(std::char_traits<char>::length(log.c_str()));
  return log;
}

std::shared_ptr<Program> CreateFromSource(const Device& device, const std::string& source) {
  const char* text = source.c_str();
  const size_t size = source.size();
  cl_int code = CL_SUCCESS;
  cl_program program =
      device.library->clCreateProgramWithSource(device.context, 1, &text, &size, &code);
  Check(code, "clCreateProgramWithSource");
  return std::make_shared<Program>(device.library, program);
}

// The extensions that kernels ask for by a macro. A compiler's own macros do not tell: one that
// makes SPIR-V on the way defines those of every device.
std::string Options(const Device& device) {
  std::string options;
  std::istringstream extensions(device.extensions);
  for (std::string extension; extensions >> extension;) {
    if (extension.find("integer_dot_product") == std::string::npos) continue;
    options += "-D MQNET_HAS_" + extension + " ";
  }
  return options;
}

cl_int Build(const Device& device, const Program& program) {
  return device.library->clBuildProgram(program.get(), 1, &device.id, Options(device).c_str(),
                                        nullptr, nullptr);
}

// Drivers name lines, not kernels: those that fail alone are the ones at fault.
std::string FaultyKernels(const Device& device, const std::vector<Part>& parts) {
  std::string names;
  for (const Part& part : parts) {
    if (Build(device, *CreateFromSource(device, part.source)) != CL_SUCCESS) {
      names += (names.empty() ? "" : ", ") + part.name;
    }
  }
  return names.empty() ? "(each of them compiles alone)" : names;
}

void RefuseMissingTypes(const Device& device, const std::vector<Part>& parts) {
  // What the code generator asks for, by the type that needs it.
  const std::pair<const char*, const char*> needs[] = {{"cl_khr_fp16", "fp16"},
                                                       {"cl_khr_fp64", "fp64"}};
  for (const auto& [extension, type] : needs) {
    if (device.HasExtension(extension)) continue;
    const std::string pragma = std::string("EXTENSION ") + extension + " : enable";
    for (const Part& part : parts) {
      if (part.source.find(pragma) == std::string::npos) continue;
      TVM_FFI_THROW(RuntimeError) << "kernel " << part.name << " computes in " << type << ", and "
                                  << device.Describe() << " has no " << extension
                                  << ": build without " << type;
    }
  }
}

}  // namespace

Program::~Program() {
  if (MayRelease()) library_->clReleaseProgram(program_);
}

std::string Program::Binary() const {
  size_t size = 0;
  Check(library_->clGetProgramInfo(program_, CL_PROGRAM_BINARY_SIZES, sizeof size, &size, nullptr),
        "clGetProgramInfo");
  std::string binary(size, '\0');
  auto* bytes = reinterpret_cast<unsigned char*>(binary.data());
  Check(library_->clGetProgramInfo(program_, CL_PROGRAM_BINARIES, sizeof bytes, &bytes, nullptr),
        "clGetProgramInfo");
  return binary;
}

std::shared_ptr<Program> CompileSource(const Device& device, const std::string& source) {
  const std::vector<Part> parts = SplitKernels(source);
  RefuseMissingTypes(device, parts);
  std::shared_ptr<Program> program = CreateFromSource(device, source);
  const cl_int code = Build(device, *program);
  if (code == CL_SUCCESS) return program;
  TVM_FFI_THROW(RuntimeError) << "kernel " << FaultyKernels(device, parts)
                              << " does not compile for " << device.Describe() << ": "
                              << ErrorName(code) << "; its source: " << KeepFaultySource(source)
                              << "\n"
                              << BuildLog(device, program->get());
  TVM_FFI_UNREACHABLE();
}

std::shared_ptr<Program> LoadBinary(const Device& device, const std::string& binary) {
  const size_t size = binary.size();
  const auto* bytes = reinterpret_cast<const unsigned char*>(binary.data());
  cl_int status = CL_SUCCESS, code = CL_SUCCESS;
  cl_program created = device.library->clCreateProgramWithBinary(device.context, 1, &device.id,
                                                                 &size, &bytes, &status, &code);
  if (code != CL_SUCCESS) return nullptr;
  auto program = std::make_shared<Program>(device.library, created);
  if (status != CL_SUCCESS || Build(device, *program) != CL_SUCCESS) return nullptr;
  return program;
}

}  // namespace mqnet::opencl
