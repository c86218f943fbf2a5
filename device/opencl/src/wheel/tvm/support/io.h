// Stand-in for a header of TVM that tvm/runtime/tensor.h includes and the wheel does not have. Its
// functions are named there in inline code that nothing here calls, so declarations are enough; the
// real header goes first where there is one.
#ifndef TVM_SUPPORT_IO_H_
#define TVM_SUPPORT_IO_H_

#include <cstddef>

namespace tvm {
namespace support {

class Stream {
 public:
  template <typename T>
  void Write(const T& value);
  void Write(const void* data, size_t size);
  template <typename T>
  bool Read(T* value);
  size_t Read(void* data, size_t size);
  template <typename T>
  void WriteArray(const T* values, size_t count);
  template <typename T>
  bool ReadArray(T* values, size_t count);
};

}  // namespace support
}  // namespace tvm

#endif  // TVM_SUPPORT_IO_H_
