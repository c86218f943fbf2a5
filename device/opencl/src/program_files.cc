#include "program_files.h"

#include <tvm/runtime/logging.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "environment.h"

namespace mqnet::opencl {
namespace {

namespace fs = std::filesystem;

// Changes with the layout below.
constexpr char kFormat[] = "mqnet-opencl-1\n";
constexpr const char* kProgramEnding = ".program";
// A tuning session compiles thousands of programs that nobody asks for again.
constexpr size_t kMostPrograms = 512;

struct Header {
  uint64_t identity_size, binary_size, checksum;
};

// FNV-1a.
uint64_t Hash(const std::string& text) {
  uint64_t hash = 14695981039346656037u;
  for (unsigned char byte : text) hash = (hash ^ byte) * 1099511628211u;
  return hash;
}

std::string Hex(uint64_t number) {
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(number));
  return digits;
}

fs::path Folder() { return ReadEnvironment().cache_folder; }

fs::path ProgramPath(const std::string& identity) {
  return Folder() / (Hex(Hash(identity)) + kProgramEnding);
}

// Why `bytes` are not in a file of that name now; empty when they are. It appears whole or not at
// all: the bytes reach the disk under another name first.
std::string WriteAtomically(const fs::path& path, const std::string& bytes) {
  std::error_code error;
  fs::create_directories(path.parent_path(), error);
  if (error) return path.parent_path().string() + ": " + error.message();
  std::string beside = (path.parent_path() / ".XXXXXX").string();
  const int file = mkstemp(beside.data());
  if (file < 0) return path.parent_path().string() + ": " + std::strerror(errno);
  std::string reason;
  for (size_t done = 0; done < bytes.size() && reason.empty();) {
    const ssize_t written = write(file, bytes.data() + done, bytes.size() - done);
    if (written >= 0) {
      done += static_cast<size_t>(written);
    } else if (errno != EINTR) {
      reason = path.string() + ": " + std::strerror(errno);
    }
  }
  if (reason.empty() && fsync(file) != 0) reason = path.string() + ": " + std::strerror(errno);
  close(file);
  if (reason.empty() && std::rename(beside.c_str(), path.c_str()) != 0) {
    reason = path.string() + ": " + std::strerror(errno);
  }
  if (!reason.empty()) unlink(beside.c_str());
  return reason;
}

void RemoveOldest(const fs::path& folder) {
  std::error_code ignored;
  std::vector<std::pair<fs::file_time_type, fs::path>> programs;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, ignored)) {
    if (entry.path().extension() != kProgramEnding) continue;
    programs.emplace_back(entry.last_write_time(ignored), entry.path());
  }
  if (programs.size() <= kMostPrograms) return;
  // A quarter at once, so that the folder is not listed in vain at every program from now on.
  std::sort(programs.begin(), programs.end());
  for (size_t i = 0; i < programs.size() - kMostPrograms * 3 / 4; ++i) {
    fs::remove(programs[i].second, ignored);
  }
}

}  // namespace

std::optional<std::string> ReadProgramFile(const std::string& identity) {
  if (Folder().empty()) return std::nullopt;
  const fs::path path = ProgramPath(identity);
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const size_t format_size = sizeof kFormat - 1, start = format_size + sizeof(Header);
  Header header{};
  bool whole = bytes.size() >= start && bytes.compare(0, format_size, kFormat) == 0;
  if (whole) {
    std::memcpy(&header, bytes.data() + format_size, sizeof header);
    const size_t left = bytes.size() - start;
    whole = header.identity_size <= left && header.binary_size == left - header.identity_size &&
            header.checksum == Hash(bytes.substr(start));
  }
  if (!whole) {
    LOG(WARNING) << path.string() << " is damaged: the program is compiled again";
    return std::nullopt;
  }
  // Another program of the same hash.
  if (bytes.compare(start, header.identity_size, identity) != 0) return std::nullopt;
  return bytes.substr(start + header.identity_size);
}

void WriteProgramFile(const std::string& identity, const std::string& binary) {
  if (Folder().empty() || binary.empty()) return;
  const Header header{identity.size(), binary.size(), Hash(identity + binary)};
  std::string bytes = kFormat;
  bytes.append(reinterpret_cast<const char*>(&header), sizeof header);
  bytes += identity + binary;
  const std::string reason = WriteAtomically(ProgramPath(identity), bytes);
  if (!reason.empty()) {
    LOG(WARNING) << "a compiled OpenCL program cannot be kept (" << reason << "): set "
                 << kCacheVariable << " to a folder that can be written";
    return;
  }
  RemoveOldest(Folder());
}

std::string KeepFaultySource(const std::string& source) {
  fs::path folder = Folder();
  std::error_code error;
  if (folder.empty()) folder = fs::temp_directory_path(error);
  const fs::path path = folder / (Hex(Hash(source)) + ".cl");
  const std::string reason = WriteAtomically(path, source);
  return reason.empty() ? path.string() : "cannot be written (" + reason + ")";
}

}  // namespace mqnet::opencl
