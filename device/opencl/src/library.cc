#include "library.h"

#include <dlfcn.h>

namespace mqnet::opencl {

std::optional<Library> OpenLibrary(const std::string& name, std::string* why_not) {
  void* handle = dlopen(name.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* reason = dlerror();
    *why_not = reason == nullptr ? name : reason;
    return std::nullopt;
  }
  Library library;
  library.name = name;
#define MQNET_OPENCL_FIND(function)                                                          \
  library.function = reinterpret_cast<decltype(library.function)>(dlsym(handle, #function)); \
  if (library.function == nullptr) {                                                         \
    *why_not = name + " has no " #function;                                                  \
    return std::nullopt;                                                                     \
  }
  MQNET_OPENCL_FUNCTIONS(MQNET_OPENCL_FIND)
#undef MQNET_OPENCL_FIND
  return library;
}

}  // namespace mqnet::opencl
