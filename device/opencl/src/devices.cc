#include "devices.h"

#include <tvm/ffi/error.h>
#include <tvm/runtime/logging.h>
#include <unistd.h>

#include <sstream>

#include "environment.h"
#include "errors.h"

namespace mqnet::opencl {
namespace {

template <typename T>
T Info(const Library& library, cl_device_id id, cl_device_info what) {
  T value{};
  Check(library.clGetDeviceInfo(id, what, sizeof value, &value, nullptr), "clGetDeviceInfo");
  return value;
}

std::string UntilNull(std::string text) {
  text.resize(std::char_traits<char>::length(text.c_str()));
  return text;
}

std::string InfoText(const Library& library, cl_device_id id, cl_device_info what) {
  size_t size = 0;
  Check(library.clGetDeviceInfo(id, what, 0, nullptr, &size), "clGetDeviceInfo");
  std::string text(size + 1, '\0');
  Check(library.clGetDeviceInfo(id, what, size, text.data(), nullptr), "clGetDeviceInfo");
  return UntilNull(text);
}

std::string PlatformVersion(const Library& library, cl_platform_id platform) {
  size_t size = 0;
  Check(library.clGetPlatformInfo(platform, CL_PLATFORM_VERSION, 0, nullptr, &size),
        "clGetPlatformInfo");
  std::string text(size + 1, '\0');
  Check(library.clGetPlatformInfo(platform, CL_PLATFORM_VERSION, size, text.data(), nullptr),
        "clGetPlatformInfo");
  return UntilNull(text);
}

std::unique_ptr<Device> OpenDevice(const Library& library, cl_platform_id platform, cl_device_id id,
                                   int number) {
  auto device = std::make_unique<Device>();
  device->number = number;
  device->library = &library;
  device->id = id;
  device->name = InfoText(library, id, CL_DEVICE_NAME);
  device->version = InfoText(library, id, CL_DEVICE_VERSION);
  device->driver = InfoText(library, id, CL_DRIVER_VERSION);
  device->platform = PlatformVersion(library, platform);
  device->extensions = InfoText(library, id, CL_DEVICE_EXTENSIONS);
  device->shares_memory = Info<cl_bool>(library, id, CL_DEVICE_HOST_UNIFIED_MEMORY) == CL_TRUE;
  if (Info<cl_bool>(library, id, CL_DEVICE_IMAGE_SUPPORT) == CL_TRUE) {
    device->max_image_rows = Info<size_t>(library, id, CL_DEVICE_IMAGE2D_MAX_HEIGHT);
  }
  device->max_work_group = Info<size_t>(library, id, CL_DEVICE_MAX_WORK_GROUP_SIZE);
  Check(library.clGetDeviceInfo(id, CL_DEVICE_MAX_WORK_ITEM_SIZES, sizeof device->max_work_items,
                                device->max_work_items, nullptr),
        "clGetDeviceInfo");
  device->memory = Info<cl_ulong>(library, id, CL_DEVICE_GLOBAL_MEM_SIZE);
  device->max_buffer = Info<cl_ulong>(library, id, CL_DEVICE_MAX_MEM_ALLOC_SIZE);
  device->local_memory = Info<cl_ulong>(library, id, CL_DEVICE_LOCAL_MEM_SIZE);
  device->compute_units = Info<cl_uint>(library, id, CL_DEVICE_MAX_COMPUTE_UNITS);
  device->clock_mhz = Info<cl_uint>(library, id, CL_DEVICE_MAX_CLOCK_FREQUENCY);
  const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM,
                                              reinterpret_cast<cl_context_properties>(platform), 0};
  cl_int code = CL_SUCCESS;
  device->context = library.clCreateContext(properties, 1, &id, nullptr, nullptr, &code);
  Check(code, "clCreateContext for " + device->Describe());
  device->queue = std::make_unique<Queue>(&library, device->context, id);
  return device;
}

std::vector<std::unique_ptr<Device>> OpenDevices(const Library& library) {
  std::vector<std::unique_ptr<Device>> devices;
  cl_uint count = 0;
  if (library.clGetPlatformIDs(0, nullptr, &count) != CL_SUCCESS || count == 0) return devices;
  std::vector<cl_platform_id> platforms(count);
  Check(library.clGetPlatformIDs(count, platforms.data(), nullptr), "clGetPlatformIDs");
  for (cl_device_type type : {CL_DEVICE_TYPE_GPU, CL_DEVICE_TYPE_ACCELERATOR, CL_DEVICE_TYPE_CPU}) {
    for (cl_platform_id platform : platforms) {
      // CL_DEVICE_NOT_FOUND is how a platform says that it has none of this type.
      if (library.clGetDeviceIDs(platform, type, 0, nullptr, &count) != CL_SUCCESS) continue;
      std::vector<cl_device_id> ids(count);
      Check(library.clGetDeviceIDs(platform, type, count, ids.data(), nullptr), "clGetDeviceIDs");
      for (cl_device_id id : ids) {
        try {
          devices.push_back(OpenDevice(library, platform, id, static_cast<int>(devices.size())));
        } catch (const tvm::ffi::Error& error) {
          LOG(WARNING) << "an OpenCL device is left out: " << error.message();
        }
      }
    }
  }
  return devices;
}

// Never destroyed: TVM may give tensors back after the last destructor of this library has run.
struct Found {
  pid_t process = getpid();
  Library library;
  std::vector<std::unique_ptr<Device>> devices;
  std::string why_none;
};

Found* Find() {
  auto* found = new Found;
  const Environment environment = ReadEnvironment();
  std::ostringstream reasons;
  for (const std::string& name : environment.libraries) {
    std::string why_not;
    std::optional<Library> library = OpenLibrary(name, &why_not);
    if (library) {
      found->library = *library;
      found->devices = OpenDevices(found->library);
      if (!found->devices.empty()) return found;
      why_not = name + " knows no device";
    }
    reasons << "\n  " << why_not;
  }
  std::ostringstream text;
  if (environment.libraries_are_users) {
    text << "no OpenCL device: " << kLibraryVariable << " names no library that has one; correct it"
         << " or unset it" << reasons.str();
  } else {
    text << "no OpenCL device: install the driver of this machine's GPU (or PoCL, apt-get install"
         << " pocl-opencl-icd), or name its library by " << kLibraryVariable << reasons.str();
  }
  found->why_none = text.str();
  return found;
}

Found& GetFound() {
  static Found* found = Find();
  return *found;
}

}  // namespace

bool Device::HasExtension(const std::string& extension) const {
  std::istringstream words(extensions);
  for (std::string word; words >> word;) {
    if (word == extension) return true;
  }
  return false;
}

std::string Device::Describe() const {
  return "device " + std::to_string(number) + " (" + name + ")";
}

int DeviceCount() { return static_cast<int>(GetFound().devices.size()); }

Device& GetDevice(int number) {
  Found& found = GetFound();
  if (found.process != getpid()) {
    TVM_FFI_THROW(RuntimeError)
        << "this process was forked from one that had already used OpenCL, and OpenCL does not"
        << " survive that: fork before its first use, or start a new process";
  }
  if (found.devices.empty()) TVM_FFI_THROW(RuntimeError) << found.why_none;
  if (number < 0 || number >= DeviceCount()) {
    TVM_FFI_THROW(RuntimeError) << "no OpenCL device " << number << ": this machine has "
                                << found.devices.size() << ", counted from 0";
  }
  return *found.devices[number];
}

bool MayRelease() { return GetFound().process == getpid(); }

}  // namespace mqnet::opencl
