/* What every function of the library returns. The public header has the same numbers. */
#ifndef NATIVE_STATUS_H
#define NATIVE_STATUS_H

enum status {
    STATUS_OK = 0,
    STATUS_ARGUMENT = 1,
    STATUS_HANDLE = 2,
    STATUS_BUSY = 3,
    STATUS_SIZE = 4,
    STATUS_THREADS = 5,
    STATUS_MEMORY = 6,
    STATUS_PROCESSOR = 7,
    STATUS_HANDLES = 8,
    STATUS_KERNEL = 9,
    STATUS_DEVICE = 10,
};

static const char *status_text(int status) {
    switch (status) {
    case STATUS_OK: return "no error";
    case STATUS_ARGUMENT: return "an argument is NULL or of another version of the header";
    case STATUS_HANDLE: return "the handle was closed or never opened";
    case STATUS_BUSY: return "the handle is in use by another thread";
    case STATUS_SIZE: return "the number of tensors or the bytes of one differ from the network's";
    case STATUS_THREADS:
        return "more threads than the build was made for, or than the cores that may be used";
    case STATUS_MEMORY: return "the system gives no memory or no thread";
    case STATUS_PROCESSOR: return "the processor lacks an instruction that the build needs";
    case STATUS_HANDLES: return "too many handles are open";
    case STATUS_KERNEL: return "a kernel failed";
    case STATUS_DEVICE: return "no OpenCL device of this machine can run the build";
    default: return "unknown status";
    }
}

#endif
