// TVM's timer of OpenCL devices: what time_evaluator and the tuner measure with.
#ifndef MQNET_OPENCL_TIMER_H_
#define MQNET_OPENCL_TIMER_H_

namespace mqnet::opencl {

void RegisterTimer();

}  // namespace mqnet::opencl

#endif  // MQNET_OPENCL_TIMER_H_
