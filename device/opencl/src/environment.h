// What the user may set: the only place that reads the process's environment.
#ifndef MQNET_OPENCL_ENVIRONMENT_H_
#define MQNET_OPENCL_ENVIRONMENT_H_

#include <string>
#include <vector>

namespace mqnet::opencl {

constexpr const char* kLibraryVariable = "MQNET_OPENCL_LIBRARY";
constexpr const char* kCacheVariable = "MQNET_OPENCL_CACHE";

struct Environment {
  // Names or paths of OpenCL libraries, the first one first: MQNET_OPENCL_LIBRARY, colons between.
  std::vector<std::string> libraries;
  bool libraries_are_users = false;
  // Folder of compiled programs: MQNET_OPENCL_CACHE, else in the user's cache. Empty where there is
  // neither (Android has no home folder): then nothing is kept on disk.
  std::string cache_folder;
};

Environment ReadEnvironment();

}  // namespace mqnet::opencl

#endif  // MQNET_OPENCL_ENVIRONMENT_H_
