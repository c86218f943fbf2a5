// A device's commands, in their order, and the device's own time of a stretch of them.
#ifndef MQNET_OPENCL_QUEUE_H_
#define MQNET_OPENCL_QUEUE_H_

#include <functional>
#include <mutex>
#include <string>
#include <vector>

#include "library.h"

namespace mqnet::opencl {

// The first and the last command of a stretch.
class Stretch {
 public:
  explicit Stretch(const Library* library) : library_(library) {}
  ~Stretch();
  Stretch(const Stretch&) = delete;
  Stretch& operator=(const Stretch&) = delete;

  void Add(cl_event command);
  // From the first command's start to the last one's end, on the device's clock; 0 without
  // commands.
  int64_t Nanoseconds() const;

 private:
  const Library* library_;
  cl_event first_ = nullptr, last_ = nullptr;
};

class Queue {
 public:
  // Enqueues one command; writes its event where that is not null.
  using Command = std::function<cl_int(cl_command_queue, cl_event*)>;

  Queue(const Library* library, cl_context context, cl_device_id device);
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  // Throws under the name `what` when the command cannot be enqueued.
  void Submit(const std::string& what, const Command& command);
  void Finish();

  // From here to the end of timing, commands are added to `stretch`.
  void BeginTiming(Stretch* stretch);
  void EndTiming(Stretch* stretch);

 private:
  const Library* library_;
  cl_context context_;
  cl_device_id device_;
  // Events with times make drivers do more for every command, so the queue that has them is used
  // only while something is timed.
  cl_command_queue plain_ = nullptr, timed_ = nullptr;
  std::vector<Stretch*> stretches_;
  std::mutex mutex_;
};

}  // namespace mqnet::opencl

#endif  // MQNET_OPENCL_QUEUE_H_
