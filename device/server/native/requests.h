/* What each message of TVM's RPC asks for. */
#ifndef NATIVE_SERVER_REQUESTS_H
#define NATIVE_SERVER_REQUESTS_H

#include "services.h"

/* Bytes that are sent behind the answer: too large to be copied into it. */
struct payload {
    const void *bytes;
    size_t size;
    void *owned;
};

static void answer_value(struct outgoing *answer, int32_t type, uint64_t bits) {
    outgoing_u32(answer, (uint32_t)type);
    if (type != TYPE_NONE) {
        outgoing_u64(answer, bits);
    }
}

/* An answer of one value. */
static int answer_one(struct session *session, int32_t type, uint64_t bits) {
    outgoing_begin(&session->answer, CODE_RETURN);
    outgoing_u32(&session->answer, 1);
    answer_value(&session->answer, type, bits);
    outgoing_end(&session->answer, 0);
    return 0;
}

/* A function's result is sent as its type, and then itself. */
static int answer_result(struct session *session, const struct result *result,
                         struct payload *payload) {
    struct outgoing *answer = &session->answer;
    outgoing_begin(answer, CODE_RETURN);
    outgoing_u32(answer, 2);
    answer_value(answer, TYPE_INTEGER, (uint64_t)result->type);
    switch (result->type) {
    case TYPE_STRING:
    case TYPE_BYTE_STRING:
        outgoing_u32(answer, result->type == TYPE_STRING ? TYPE_TEXT : TYPE_BYTES);
        outgoing_u64(answer, result->size);
        *payload = (struct payload){result->bytes, result->size, result->owned};
        break;
    case TYPE_FUNCTION:
    case TYPE_MODULE: answer_value(answer, TYPE_POINTER, result->handle); break;
    default: answer_value(answer, result->type, (uint64_t)result->integer); break;
    }
    outgoing_end(answer, payload->size);
    return 0;
}

static int begin_session(struct session *session, struct incoming *message) {
    uint64_t size = incoming_u64(message);
    const char *version = (const char *)incoming_skip(message, size);
    if (version == NULL || read_values(message, &session->values, &session->failure) != 0) {
        return fail(&session->failure, "a message ends within its first words");
    }
    if (size != strlen(PROTOCOL) || memcmp(version, PROTOCOL, (size_t)size) != 0) {
        return fail(&session->failure, "the client speaks version %.*s of TVM's RPC and this "
                                       "server " PROTOCOL ", which is TVM 0.27's",
                    (int)(size > 32 ? 32 : size), version);
    }
    if (session->values.count != 0) {
        return fail(&session->failure, "no sessions beyond this device are made here");
    }
    if (session->has_begun) {
        return fail(&session->failure, "the session has begun already");
    }
    session->has_begun = 1;
    return answer_one(session, TYPE_NONE, 0);
}

static int call_function(struct session *session, struct incoming *message,
                         struct payload *payload) {
    uint64_t handle = incoming_u64(message);
    struct result result = {.type = TYPE_NONE};
    if (read_values(message, &session->values, &session->failure) != 0) {
        return -1;
    }
    struct object *object = objects_find(&session->objects, handle);
    int failed;
    if (object != NULL && object->kind == OBJECT_FUNCTION) {
        const struct service *service = &services[object->function];
        failed = check_values(&session->values, service->name, service->arguments,
                              &session->failure) != 0 ||
                 service->serve(session, &result) != 0;
    } else if (object != NULL && object->kind == OBJECT_KERNEL) {
        failed = call_kernel(session, object, &result);
    } else if (object != NULL && object->kind == OBJECT_STOPWATCH) {
        failed = call_stopwatch(session, object, &object->plan, &result);
    } else {
        failed = fail(&session->failure, "what was called is no function of this session");
    }
    if (failed) {
        free(result.owned);
        return -1;
    }
    return answer_result(session, &result, payload);
}

static int copy_to_device(struct session *session, struct incoming *message) {
    struct value *to = &session->values.all[0];
    if (read_tensor(message, to, &session->failure) != 0) {
        return -1;
    }
    uint64_t bytes = incoming_u64(message);
    const uint8_t *from = incoming_skip(message, bytes);
    if (from == NULL) {
        return fail(&session->failure, "a message ends within a tensor");
    }
    if (to->tensor.device_type != ABI_CPU ||
        !memory_holds(&session->memory, &to->tensor, bytes)) {
        return fail(&session->failure, "a tensor does not lie in memory that was taken for one");
    }
    memcpy((uint8_t *)to->tensor.data + to->tensor.byte_offset, from, (size_t)bytes);
    return answer_one(session, TYPE_NONE, 0);
}

static int copy_from_device(struct session *session, struct incoming *message,
                            struct payload *payload) {
    struct value *from = &session->values.all[0];
    if (read_tensor(message, from, &session->failure) != 0) {
        return -1;
    }
    uint64_t bytes = incoming_u64(message);
    if (message->is_short || from->tensor.device_type != ABI_CPU ||
        !memory_holds(&session->memory, &from->tensor, bytes)) {
        return fail(&session->failure, "a tensor does not lie in memory that was taken for one");
    }
    outgoing_begin(&session->answer, CODE_COPY_DATA);
    payload->bytes = (uint8_t *)from->tensor.data + from->tensor.byte_offset;
    payload->size = (size_t)bytes;
    outgoing_end(&session->answer, payload->size);
    return 0;
}

static int copy_there(struct session *session) {
    struct abi_tensor *from = &session->values.all[0].tensor;
    struct abi_tensor *to = &session->values.all[1].tensor;
    if (check_tensor(&session->memory, from, &session->failure) != 0 ||
        check_tensor(&session->memory, to, &session->failure) != 0) {
        return -1;
    }
    uint64_t bytes = tensor_bytes(from);
    if (bytes != tensor_bytes(to)) {
        return fail(&session->failure, "a tensor cannot be copied to one of another size");
    }
    memmove((uint8_t *)to->data + to->byte_offset, (uint8_t *)from->data + from->byte_offset,
            (size_t)bytes);
    return answer_one(session, TYPE_POINTER, 0);
}

/* The handle of a function; 0 where there is none of that name. */
static int find_service(struct session *session) {
    for (uint32_t index = 0; index < SERVICE_COUNT; ++index) {
        if (is_text(&session->values.all[0], services[index].name)) {
            uint64_t handle = objects_add(&session->objects, OBJECT_FUNCTION);
            if (handle == 0) {
                return fail(&session->failure, "the session holds too many functions");
            }
            objects_find(&session->objects, handle)->function = index;
            return answer_one(session, TYPE_POINTER, handle);
        }
    }
    return answer_one(session, TYPE_POINTER, 0);
}

static int take_memory(struct session *session, uint64_t bytes, uint64_t alignment) {
    void *start = memory_take(&session->memory, bytes, alignment, &session->failure);
    return start == NULL ? -1 : answer_one(session, TYPE_POINTER, (uintptr_t)start);
}

static int take_tensor(struct session *session) {
    struct abi_tensor *tensor = &session->values.all[0].tensor;
    uint64_t bytes = tensor_bytes(tensor);
    if (tensor->device_type != ABI_CPU || tensor->device_id != 0) {
        return fail(&session->failure, "only the processor is served here, not device %d:%d",
                    (int)tensor->device_type, (int)tensor->device_id);
    }
    return take_memory(session, bytes, TENSOR_ALIGNMENT);
}

static int tell_device_fact(struct session *session) {
    const struct value *values = session->values.all;
    int is_here = values[0].device.type == ABI_CPU && values[0].device.id == 0;
    int asks_for_it = values[1].integer == 0;
    return asks_for_it ? answer_one(session, TYPE_INTEGER, (uint64_t)is_here)
                       : answer_one(session, TYPE_NONE, 0);
}

static int is_processor(struct session *session) {
    const struct value *value = &session->values.all[0];
    if (value->device.type == ABI_CPU && value->device.id == 0) {
        return 1;
    }
    fail(&session->failure, "only the processor is served here, not device %d:%d",
         (int)value->device.type, (int)value->device.id);
    return 0;
}

/* Requests whose arguments are packed, and what they have to be. */
static const char *request_arguments(uint32_t code) {
    switch (code) {
    case CODE_FIND_FUNCTION: return "t";
    case CODE_FREE_HANDLE: return "p";
    case CODE_SET_DEVICE: return "d";
    case CODE_DEVICE_FACT: return "di";
    case CODE_TAKE_MEMORY: return "diiy";
    case CODE_GIVE_MEMORY: return "dp";
    case CODE_WAIT_FOR_STREAM: return "dp";
    case CODE_COPY_THERE: return "xxp";
    case CODE_TAKE_TENSOR: return "x*";
    case CODE_MAKE_STREAM: return "d";
    case CODE_FREE_STREAM: return "dp";
    case CODE_SET_STREAM: return "dp";
    case CODE_GET_STREAM: return "d";
    default: return NULL;
    }
}

static int answer_packed(struct session *session, uint32_t code) {
    const struct value *values = session->values.all;
    switch (code) {
    case CODE_FIND_FUNCTION: return find_service(session);
    case CODE_FREE_HANDLE:
        objects_let_go(&session->objects, values[0].handle);
        return answer_one(session, TYPE_NONE, 0);
    case CODE_COPY_THERE: return copy_there(session);
    case CODE_TAKE_TENSOR: return take_tensor(session);
    case CODE_DEVICE_FACT: return tell_device_fact(session);
    default: break;
    }
    if (!is_processor(session)) {
        return -1;
    }
    switch (code) {
    case CODE_TAKE_MEMORY:
        return take_memory(session, (uint64_t)values[1].integer, (uint64_t)values[2].integer);
    case CODE_GIVE_MEMORY:
        return memory_give_back(&session->memory, values[1].handle, &session->failure) != 0
                   ? -1
                   : answer_one(session, TYPE_NONE, 0);
    case CODE_MAKE_STREAM:
    case CODE_GET_STREAM: return answer_one(session, TYPE_POINTER, 0);
    default: return answer_one(session, TYPE_NONE, 0); /* A processor has no streams. */
    }
}

/* Makes the answer; -1, and the session's failure, where the request is refused. */
static int answer_request(struct session *session, uint32_t code, struct incoming *message,
                          struct payload *payload) {
    const char *arguments = request_arguments(code);
    session->failure.text[0] = '\0';
    if (code == CODE_BEGIN) {
        return begin_session(session, message);
    }
    if (!session->has_begun) {
        return fail(&session->failure, "the session has not begun");
    }
    if (arguments != NULL) {
        return read_values(message, &session->values, &session->failure) != 0 ||
                       check_values(&session->values, "the request", arguments,
                                    &session->failure) != 0
                   ? -1
                   : answer_packed(session, code);
    }
    switch (code) {
    case CODE_CALL: return call_function(session, message, payload);
    case CODE_COPY_TO: return copy_to_device(session, message);
    case CODE_COPY_FROM: return copy_from_device(session, message, payload);
    default:
        return fail(&session->failure, "a message of kind %u, which this server does not know",
                    code);
    }
}

#endif
