/* The functions that a client finds by name: what TVM's own client uses for plain kernels, and
 * those of device/server/functions.py that tuning uses. */
#ifndef NATIVE_SERVER_SERVICES_H
#define NATIVE_SERVER_SERVICES_H

#include "count_call.h"
#include "machine.h"

/* Larger tensors are copied in pieces of so many bytes, by the client. */
enum { COPY_BYTES = 16 << 20 };

struct service {
    const char *name;
    const char *arguments; /* as of check_values */
    int (*serve)(struct session *session, struct result *result);
};

/* A text for the client, which is freed once it is sent. */
static int give_text(struct session *session, struct outgoing *text, struct result *result) {
    if (text->is_lost) {
        free(text->bytes);
        return fail(&session->failure, "no memory is left on the device");
    }
    *result = (struct result){.type = TYPE_STRING, .bytes = text->bytes, .size = text->used,
                              .owned = text->bytes};
    return 0;
}

static int serve_upload(struct session *session, struct result *result) {
    (void)result;
    return uploads_add(&session->uploads, &session->values.all[0], &session->values.all[1],
                       session->most_bytes, &session->failure);
}

static int serve_download(struct session *session, struct result *result) {
    struct upload *upload =
        uploads_find(&session->uploads, &session->values.all[0], &session->failure);
    if (upload == NULL) {
        return -1;
    }
    *result = (struct result){.type = TYPE_BYTE_STRING, .bytes = upload->bytes,
                              .size = upload->size};
    return 0;
}

static int serve_remove(struct session *session, struct result *result) {
    (void)result;
    struct upload *upload =
        uploads_find(&session->uploads, &session->values.all[0], &session->failure);
    if (upload != NULL) {
        uploads_remove(&session->uploads, upload);
    }
    return upload == NULL ? -1 : 0;
}

static int serve_list(struct session *session, struct result *result) {
    struct outgoing text = {0};
    for (uint32_t index = 0; index < session->uploads.count; ++index) {
        text_add(&text, index == 0 ? "" : ",");
        text_add(&text, session->uploads.all[index]->name);
    }
    return give_text(session, &text, result);
}

static int serve_load(struct session *session, struct result *result) {
    struct upload *upload =
        uploads_find(&session->uploads, &session->values.all[0], &session->failure);
    struct image image;
    if (upload == NULL) {
        return -1;
    }
    struct file_view file = {upload->bytes, upload->size};
    if (load_library(upload->name, &file, &image, &session->failure) != 0) {
        return -1;
    }
    uint64_t handle = objects_add(&session->objects, OBJECT_LIBRARY);
    if (handle == 0) {
        image_close(&image);
        return fail(&session->failure, "the session holds too many libraries");
    }
    objects_find(&session->objects, handle)->image = image;
    *result = (struct result){.type = TYPE_MODULE, .handle = handle};
    return 0;
}

static int give_kernel(struct session *session, enum object_kind kind, struct result *result) {
    struct value *values = session->values.all;
    *result = (struct result){.type = TYPE_FUNCTION};
    result->handle = objects_add_kernel(&session->objects, kind, values[0].handle, &values[1],
                                        &session->failure);
    return result->handle == 0 ? -1 : 0;
}

static int serve_find_kernel(struct session *session, struct result *result) {
    struct value *values = session->values.all;
    struct object *library = objects_find(&session->objects, values[0].handle);
    if (library != NULL && library->kind == OBJECT_LIBRARY &&
        find_kernel(&library->image, values[1].bytes, values[1].size) == NULL) {
        return 0; /* Nothing: the client says so in its own words. */
    }
    return give_kernel(session, OBJECT_KERNEL, result);
}

static int serve_stopwatch(struct session *session, struct result *result) {
    struct value *values = session->values.all;
    struct stopwatch_plan plan = {
        .number = values[4].integer,
        .repeat = values[5].integer,
        .least_milliseconds = values[6].integer,
        .most_zeros = values[7].integer,
        .rest_milliseconds = values[8].integer,
        .repeats_to_rest = values[9].integer < 1 ? 1 : values[9].integer,
        .flushed_bytes = values[10].integer,
        .flushes_arguments = is_text(&values[11], "cache_flush_cpu_non_first_arg"),
    };
    if (values[0].type != TYPE_MODULE) {
        return fail(&session->failure, "only the functions of a library are timed here");
    }
    if (values[2].integer != ABI_CPU || values[3].integer != 0) {
        return fail(&session->failure, "only the processor is served here, not device %d:%d",
                    (int)values[2].integer, (int)values[3].integer);
    }
    if (plan.number < 1 || plan.number > MOST_CALLS || plan.repeat < 1 ||
        plan.repeat > MOST_REPEATS || plan.flushed_bytes > (int64_t)session->most_bytes) {
        return fail(&session->failure, "so many calls, repetitions or bytes cannot be timed");
    }
    if (values[11].size != 0 && !plan.flushes_arguments) {
        return fail(&session->failure, "function %.*s, to be called before each repetition, is "
                                       "not known here",
                    (int)values[11].size, values[11].bytes);
    }
    if (give_kernel(session, OBJECT_STOPWATCH, result) != 0) {
        return -1;
    }
    objects_find(&session->objects, result->handle)->plan = plan;
    return 0;
}

static int serve_copy_bytes(struct session *session, struct result *result) {
    int64_t most = (int64_t)session->most_bytes / 2;
    *result = (struct result){.type = TYPE_INTEGER};
    result->integer = most < COPY_BYTES ? most : COPY_BYTES;
    return 0;
}

static int serve_flush(struct session *session, struct result *result) {
    struct abi_any unused[MOST_VALUES];
    (void)result;
    if (kernel_arguments(session, unused) != 0) {
        return -1;
    }
    flush_arguments(&session->values);
    return 0;
}

static int serve_echo(struct session *session, struct result *result) {
    const struct value *value = &session->values.all[0];
    if (value->type > TYPE_FLOAT && value->type != TYPE_TEXT && value->type != TYPE_BYTES) {
        return fail(&session->failure, "no argument of type %d is echoed", (int)value->type);
    }
    *result = (struct result){.type = value->type, .integer = value->integer,
                              .bytes = value->bytes, .size = value->size};
    result->type = value->type == TYPE_TEXT    ? TYPE_STRING
                   : value->type == TYPE_BYTES ? TYPE_BYTE_STRING
                                               : value->type;
    return 0;
}

/* What is as large as a tensor of noise, from 0 to 1 or -128 to 127. */
static int serve_fill(struct session *session, struct result *result) {
    const struct abi_tensor *tensor = &session->values.all[0].tensor;
    static uint64_t state = 0x9e3779b97f4a7c15;
    (void)result;
    if (check_tensor(&session->memory, tensor, &session->failure) != 0) {
        return -1;
    }
    uint8_t *at = (uint8_t *)tensor->data + tensor->byte_offset;
    uint64_t bytes = tensor_bytes(tensor);
    uint64_t size = tensor->type_code == 2 ? (uint64_t)tensor->type_bits / 8 : 1;
    for (uint64_t index = 0; size != 0 && index + size <= bytes; index += size) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        float single = (float)(state >> 40) / (float)(1 << 24);
        double number = single;
        uint16_t half = (uint16_t)(0x3800 + (state >> 54)); /* from 1/2 to 1 */
        memcpy(at + index, size == 4 ? (void *)&single : size == 8 ? (void *)&number
                           : size == 2 ? (void *)&half : (void *)&state, (size_t)size);
    }
    return 0;
}

static int choose_threads(struct session *session, int64_t threads) {
    if (threads < 1 || threads > system_cores(0)) {
        return fail(&session->failure, "threads %lld is more than the %u cores that there are",
                    (long long)threads, system_cores(0));
    }
    if (session->runtime.is_started && session->runtime.pool.threads != threads) {
        return fail(&session->failure, "this session's %u threads are made already",
                    session->runtime.pool.threads);
    }
    session->runtime.wanted = (uint32_t)threads;
    return 0;
}

static int serve_threads(struct session *session, struct result *result) {
    (void)result;
    return choose_threads(session, session->values.all[1].integer);
}

/* Keeps the session on the fastest cores; JSON of which they are. */
static int serve_cores(struct session *session, struct result *result) {
    int64_t threads = session->values.all[0].integer;
    uint64_t usable = usable_cores(), chosen = 0;
    if (choose_threads(session, threads) != 0) {
        return -1;
    }
    struct outgoing text = {0};
    for (int64_t count = 0; count < threads && chosen != usable; ++count) {
        long most = LONG_MIN;
        unsigned best = 0;
        char number[16];
        for (unsigned core = 0; core < MOST_CORES; ++core) {
            if ((usable & ~chosen) >> core & 1 && core_speed(core) > most) {
                most = core_speed(core);
                best = core;
            }
        }
        chosen |= 1ull << best;
        snprintf(number, sizeof number, "%s%u", count == 0 ? "[" : ", ", best);
        text_add(&text, number);
    }
    text_add(&text, "]");
    system_bind(chosen);
    return give_text(session, &text, result);
}

static int serve_machine(struct session *session, struct result *result) {
    struct outgoing text = {0};
    describe_machine(&text);
    return give_text(session, &text, result);
}

static int serve_processor_seconds(struct session *session, struct result *result) {
    (void)session;
    *result = (struct result){.type = TYPE_FLOAT};
    result->number = (double)nanoseconds(CLOCK_PROCESS_CPUTIME_ID) * 1e-9;
    return 0;
}

static int refuse_service(struct session *session, struct result *result) {
    (void)result;
    return fail(&session->failure, SERVER_NAME " neither links nor imports libraries: upload a "
                                               "shared library that is whole");
}

static const struct service services[] = {
    {"tvm.rpc.server.upload", "tb", serve_upload},
    {"tvm.rpc.server.download", "t", serve_download},
    {"tvm.rpc.server.remove", "t", serve_remove},
    {"tvm.rpc.server.listdir", "t", serve_list},
    {"tvm.rpc.server.load_module", "t", serve_load},
    {"tvm.rpc.server.ModuleGetFunction", "mti", serve_find_kernel},
    {"tvm.rpc.server.GetCRTMaxPacketSize", "", serve_copy_bytes},
    {"tvm.rpc.server.ImportModule", "mm", refuse_service},
    {"tvm.rpc.server.download_linked_module", "t", refuse_service},
    {"runtime.RPCTimeEvaluator", "*tiiiiiiiiit", serve_stopwatch},
    {"runtime.config_threadpool", "ii.", serve_threads},
    {"cache_flush_cpu_non_first_arg", ".", serve_flush},
    {"tvm.contrib.random.random_fill", "x", serve_fill},
    {"tvm.contrib.random.random_fill_for_measure", "x", serve_fill},
    {"testing.echo", "*", serve_echo},
    {"mqnet.machine", "", serve_machine},
    {"mqnet.use_cores", "i", serve_cores},
    {"mqnet.cpu_seconds", "", serve_processor_seconds},
    {"mqnet.count_call", "tt.", count_call},
};

enum { SERVICE_COUNT = sizeof services / sizeof *services };

#endif
