// Compiled programs on disk: drivers take seconds to compile a network.
#ifndef MQNET_OPENCL_PROGRAM_FILES_H_
#define MQNET_OPENCL_PROGRAM_FILES_H_

#include <optional>
#include <string>

namespace mqnet::opencl {

// The binary that was kept for `identity`; nothing where there is none, or where the file is not
// what was written.
std::optional<std::string> ReadProgramFile(const std::string& identity);

// A cache that cannot be written is warned about; the program in memory is as good.
void WriteProgramFile(const std::string& identity, const std::string& binary);

// Where the source can be read after an error, or why it cannot.
std::string KeepFaultySource(const std::string& source);

}  // namespace mqnet::opencl

#endif  // MQNET_OPENCL_PROGRAM_FILES_H_
