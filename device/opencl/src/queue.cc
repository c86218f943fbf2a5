#include "queue.h"

#include <algorithm>

#include "errors.h"

namespace mqnet::opencl {

Stretch::~Stretch() {
  if (first_ != nullptr) library_->clReleaseEvent(first_);
  if (last_ != nullptr) library_->clReleaseEvent(last_);
}

void Stretch::Add(cl_event command) {
  if (first_ == nullptr) {
    Check(library_->clRetainEvent(command), "clRetainEvent");
    first_ = command;
  }
  Check(library_->clRetainEvent(command), "clRetainEvent");
  if (last_ != nullptr) library_->clReleaseEvent(last_);
  last_ = command;
}

int64_t Stretch::Nanoseconds() const {
  if (first_ == nullptr) return 0;
  const cl_event ends[] = {first_, last_};
  Check(library_->clWaitForEvents(2, ends), "clWaitForEvents");
  cl_ulong start = 0, end = 0;
  Check(library_->clGetEventProfilingInfo(first_, CL_PROFILING_COMMAND_START, sizeof start, &start,
                                          nullptr),
        "clGetEventProfilingInfo");
  Check(
      library_->clGetEventProfilingInfo(last_, CL_PROFILING_COMMAND_END, sizeof end, &end, nullptr),
      "clGetEventProfilingInfo");
  return static_cast<int64_t>(end - start);
}

Queue::Queue(const Library* library, cl_context context, cl_device_id device)
    : library_(library), context_(context), device_(device) {
  cl_int code = CL_SUCCESS;
  plain_ = library_->clCreateCommandQueue(context_, device_, 0, &code);
  Check(code, "clCreateCommandQueue");
}

void Queue::Submit(const std::string& what, const Command& command) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (stretches_.empty()) {
    Check(command(plain_, nullptr), what);
    return;
  }
  cl_event event = nullptr;
  Check(command(timed_, &event), what);
  for (Stretch* stretch : stretches_) stretch->Add(event);
  library_->clReleaseEvent(event);
}

void Queue::Finish() {
  std::lock_guard<std::mutex> lock(mutex_);
  Check(library_->clFinish(stretches_.empty() ? plain_ : timed_), "clFinish");
}

void Queue::BeginTiming(Stretch* stretch) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (timed_ == nullptr) {
    cl_int code = CL_SUCCESS;
    timed_ = library_->clCreateCommandQueue(context_, device_, CL_QUEUE_PROFILING_ENABLE, &code);
    Check(code, "clCreateCommandQueue with CL_QUEUE_PROFILING_ENABLE");
  }
  // One queue does not wait for the other.
  if (stretches_.empty()) Check(library_->clFinish(plain_), "clFinish");
  stretches_.push_back(stretch);
}

void Queue::EndTiming(Stretch* stretch) {
  std::lock_guard<std::mutex> lock(mutex_);
  auto found = std::find(stretches_.begin(), stretches_.end(), stretch);
  if (found == stretches_.end()) return;
  stretches_.erase(found);
  if (stretches_.empty()) Check(library_->clFinish(timed_), "clFinish");
}

}  // namespace mqnet::opencl
