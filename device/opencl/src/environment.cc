#include "environment.h"

#include <cstdlib>
#include <sstream>

namespace mqnet::opencl {
namespace {

// Loaders of the Khronos kind first: they know every driver of the machine. Then the drivers that
// hold OpenCL themselves, on Android and on boards.
constexpr const char* kKnownLibraries[] = {
    "libOpenCL.so.1",
    "libOpenCL.so",
    "/vendor/lib64/libOpenCL.so",
    "/system/vendor/lib64/libOpenCL.so",
    "/vendor/lib64/egl/libGLES_mali.so",
    "/system/vendor/lib64/egl/libGLES_mali.so",
    "libmali.so.1",
    "libmali.so",
};

std::string Read(const char* variable) {
  const char* value = std::getenv(variable);
  return value == nullptr ? "" : value;
}

std::string CacheFolder() {
  if (std::string folder = Read(kCacheVariable); !folder.empty()) return folder;
  std::string cache = Read("XDG_CACHE_HOME");
  if (cache.empty()) {
    std::string home = Read("HOME");
    if (home.empty()) return "";
    cache = home + "/.cache";
  }
  return cache + "/mqnet-tvm/opencl-programs";
}

}  // namespace

Environment ReadEnvironment() {
  Environment found;
  std::istringstream names(Read(kLibraryVariable));
  for (std::string name; std::getline(names, name, ':');) {
    if (!name.empty()) found.libraries.push_back(name);
  }
  found.libraries_are_users = !found.libraries.empty();
  if (!found.libraries_are_users) {
    found.libraries.assign(std::begin(kKnownLibraries), std::end(kKnownLibraries));
  }
  found.cache_folder = CacheFolder();
  return found;
}

}  // namespace mqnet::opencl
