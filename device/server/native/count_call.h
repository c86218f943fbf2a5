/* Counts what an emulated core executes in a call: see device/server/count_call.py, whose requests
 * to QEMU's plugin these are. */
#ifndef NATIVE_SERVER_COUNT_CALL_H
#define NATIVE_SERVER_COUNT_CALL_H

#include "stopwatch.h"

enum { PLUGIN_WATCH = 0x7f02, PLUGIN_READ_CALL = 0x7f03, COUNTED_CALLS = 3, PAGE = 1 << 12 };

/* No cache's sets repeat at a longer distance, so the tensors always fall into the same ones. */
static const uint64_t PLACE_ALIGNMENT = 1 << 21;

/* What the plugin writes. */
struct counts {
    uint64_t calls, instructions, simd, load_store, dot_product;
    uint64_t millicycles, l1d_misses, l2_misses;
};

/* Copies the tensors to addresses that depend on nothing but their sizes. The memory is the
 * caller's to unmap; NULL where there is none. */
static uint8_t *place_tensors(struct values *values, size_t *mapped) {
    uint64_t bytes = PLACE_ALIGNMENT;
    for (uint32_t index = 0; index < values->count; ++index) {
        if (values->all[index].type == TYPE_TENSOR) {
            bytes += (tensor_bytes(&values->all[index].tensor) + PAGE - 1) / PAGE * PAGE;
        }
    }
    *mapped = (size_t)bytes;
    uint8_t *start = system_map(*mapped);
    if (start == NULL) {
        return NULL;
    }
    uint8_t *next = start + (PLACE_ALIGNMENT - (uintptr_t)start % PLACE_ALIGNMENT);
    for (uint32_t index = 0; index < values->count; ++index) {
        struct abi_tensor *tensor = &values->all[index].tensor;
        if (values->all[index].type == TYPE_TENSOR) {
            uint64_t size = tensor_bytes(tensor);
            memcpy(next, (uint8_t *)tensor->data + tensor->byte_offset, (size_t)size);
            tensor->data = next;
            tensor->byte_offset = 0;
            next += (size + PAGE - 1) / PAGE * PAGE;
        }
    }
    return start;
}

static int count_placed(struct session *session, abi_kernel kernel,
                        const struct abi_any *arguments, struct counts *counts) {
    syscall(PLUGIN_WATCH, kernel);
    /* The last of the counted calls ends where one more begins. */
    int failed = time_calls(session, kernel, arguments, 1 + COUNTED_CALLS) < 0;
    syscall(PLUGIN_READ_CALL, counts);
    syscall(PLUGIN_WATCH, NULL);
    if (!failed && counts->calls != COUNTED_CALLS) {
        return fail(&session->failure, "nobody counts here: QEMU runs without "
                                       "count_instructions.c, or without its options");
    }
    return failed ? -1 : 0;
}

/* JSON of the counts of one call of an uploaded library's function; the first two of the session's
 * values name both. */
static int count_call(struct session *session, struct result *result) {
    struct values *values = &session->values;
    struct upload *upload =
        uploads_find(&session->uploads, &values->all[0], &session->failure);
    if (upload == NULL) {
        return -1;
    }
    /* QEMU sees the beginning of a function only where it was never run: at other addresses. */
    struct file_view file = {upload->bytes, upload->size};
    struct image image;
    if (load_library(upload->name, &file, &image, &session->failure) != 0) {
        return -1;
    }
    abi_kernel kernel = find_kernel(&image, values->all[1].bytes, values->all[1].size);
    values->count -= 2;
    memmove(values->all, values->all + 2, values->count * sizeof *values->all);
    for (uint32_t index = 0; index < values->count; ++index) {
        values->all[index].tensor.shape = values->all[index].shape;
    }
    struct abi_any arguments[MOST_VALUES];
    struct counts counts = {0};
    size_t mapped = 0;
    uint8_t *placed = NULL;
    int failed = kernel == NULL ? fail(&session->failure, "the library has no such function")
                                : kernel_arguments(session, arguments);
    if (!failed && (placed = place_tensors(values, &mapped)) == NULL) {
        failed = fail(&session->failure, "no memory is left on the device");
    }
    failed = failed || runtime_start(&session->runtime, &session->failure) != 0 ||
             count_placed(session, kernel, arguments, &counts) != 0;
    if (placed != NULL) {
        system_unmap(placed, mapped);
    }
    image_close(&image);
    char *text = failed ? NULL : malloc(400);
    if (text == NULL) {
        return -1;
    }
    int size = snprintf(
        text, 400,
        "{\"calls\": %" PRIu64 ", \"instructions\": %" PRIu64 ", \"simd\": %" PRIu64
        ", \"load_store\": %" PRIu64 ", \"dot_product\": %" PRIu64 ", \"millicycles\": %" PRIu64
        ", \"l1d_misses\": %" PRIu64 ", \"l2_misses\": %" PRIu64 "}",
        counts.calls, counts.instructions, counts.simd, counts.load_store, counts.dot_product,
        counts.millicycles, counts.l1d_misses, counts.l2_misses);
    *result = (struct result){.type = TYPE_STRING, .bytes = text, .size = (size_t)size,
                              .owned = text};
    return 0;
}

#endif
