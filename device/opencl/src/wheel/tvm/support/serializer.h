// Stand-in, as io.h beside it: here it only has to exist.
#ifndef TVM_SUPPORT_SERIALIZER_H_
#define TVM_SUPPORT_SERIALIZER_H_

#include <tvm/support/io.h>

#endif  // TVM_SUPPORT_SERIALIZER_H_
