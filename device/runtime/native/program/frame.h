/* Memory for the tensors of a frame, and an opened network. */
#ifndef NATIVE_PROGRAM_FRAME_H
#define NATIVE_PROGRAM_FRAME_H

#include "handles.h"
#include "machine_facts.h"
#include "say.h"

struct frame {
    frame_buffer *inputs;
    frame_buffer *outputs;
};

static void *take_memory(size_t bytes) {
    void *found;
    if (posix_memalign(&found, ALIGNMENT, bytes + 1) != 0) { /* aligned_alloc is not in Android 7 */
        refuse("this machine has no %zu bytes of memory left", bytes);
    }
    return found;
}

static frame_buffer *make_buffers(const size_t *bytes, uint32_t count) {
    frame_buffer *buffers = take_memory(count * sizeof *buffers);
    for (uint32_t index = 0; index < count; ++index) {
        buffers[index].bytes = bytes[index];
        buffers[index].data = take_memory(bytes[index]);
        memset(buffers[index].data, 0, bytes[index]);
    }
    return buffers;
}

static struct frame make_frame(const struct network *network) {
    struct frame frame = {
        make_buffers(network->input_bytes, network->input_count),
        make_buffers(network->output_bytes, network->output_count),
    };
    return frame;
}

/* Opens the network or ends the program with a sentence. */
static uint64_t open_or_refuse(const struct network *network, unsigned threads, uint64_t cores) {
    uint64_t handle;
    int status = handle_open(network, threads, cores, &handle);
    if (status == STATUS_THREADS) {
        refuse("threads %u is more than the %u cores that may be used, or than the %u threads that "
               "this was built for",
               threads, system_cores(cores), network->most_threads);
    }
#ifdef NATIVE_ON_GPU
    if (status == STATUS_DEVICE) {
        refuse("%s", gpu.error);
    }
#endif
    if (status != STATUS_OK) {
        refuse("the network cannot be opened: %s", status_text(status));
    }
    return handle;
}

static void run_or_refuse(const struct network *network, uint64_t handle,
                          const struct frame *frame, call_observer observe, void *self) {
    int status = handle_run(network, handle, frame->inputs, network->input_count, frame->outputs,
                            network->output_count, observe, self);
    if (status == STATUS_KERNEL) {
        refuse("a kernel failed: %s", handle_error(handle));
    }
    if (status != STATUS_OK) {
        refuse("the frame failed: %s", status_text(status));
    }
}

#endif
