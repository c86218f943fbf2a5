#include "timer.h"

#include <tvm/ffi/reflection/registry.h>
#include <tvm/runtime/timer.h>

#include "devices.h"

namespace mqnet::opencl {
namespace {

namespace ffi = tvm::ffi;
using tvm::runtime::Timer;
using tvm::runtime::TimerNode;

// The device's clock from the first command's start to the last one's end. What lies between two
// commands counts, as in a frame; what the host does before the first and behind the last does not.
class OpenCLTimer final : public TimerNode {
 public:
  explicit OpenCLTimer(Device* device) : device_(device), stretch_(device->library) {}
  ~OpenCLTimer() final {
    if (MayRelease()) device_->queue->EndTiming(&stretch_);
  }

  void Start() final { device_->queue->BeginTiming(&stretch_); }
  void Stop() final { device_->queue->EndTiming(&stretch_); }
  int64_t SyncAndGetElapsedNanos() final { return stretch_.Nanoseconds(); }

  TVM_FFI_DECLARE_OBJECT_INFO_FINAL("mqnet.opencl.Timer", OpenCLTimer, TimerNode);

 private:
  Device* device_;
  Stretch stretch_;
};

Timer MakeTimer(DLDevice device) {
  return Timer(ffi::make_object<OpenCLTimer>(&GetDevice(device.device_id)));
}

}  // namespace

void RegisterTimer() {
  ffi::reflection::GlobalDef()
      .def("runtime.timer.opencl", MakeTimer)
      // TVM's timers have no functions in Python.
      .def("mqnet.opencl.start_timer",
           [](DLDevice device) {
             Timer timer = MakeTimer(device);
             timer->Start();
             return timer;
           })
      .def("mqnet.opencl.stop_timer", [](Timer timer) {
        timer->Stop();
        return timer->SyncAndGetElapsedNanos();
      });
}

}  // namespace mqnet::opencl
