/* Packed arguments of TVM's RPC: a count, and each with the number of its type. */
#ifndef NATIVE_SERVER_VALUES_H
#define NATIVE_SERVER_VALUES_H

#include "failure.h"
#include "kernel_abi.h"
#include "message.h"

enum value_type {
    TYPE_NONE = 0,
    TYPE_INTEGER = 1,
    TYPE_BOOL = 2,
    TYPE_FLOAT = 3,
    TYPE_POINTER = 4,
    TYPE_DTYPE = 5,
    TYPE_DEVICE = 6,
    TYPE_TENSOR = 7,
    TYPE_TEXT = 8,
    TYPE_BYTES = 9,
    TYPE_SMALL_TEXT = 11,
    TYPE_SMALL_BYTES = 12,
    TYPE_OBJECTS = 64, /* from here on */
    TYPE_STRING = 65,
    TYPE_BYTE_STRING = 66,
    TYPE_FUNCTION = 68,
    TYPE_MODULE = 73,
};

enum { MOST_VALUES = 128, MOST_RANK = 16 };

/* Of a tensor `tensor.shape` is `shape`; of a text or bytes, `bytes` lies in the message. Texts
 * of every kind are TYPE_TEXT here, and bytes TYPE_BYTES. */
struct value {
    int32_t type;
    union {
        int64_t integer;
        double number;
        uint64_t handle;
        struct {
            int32_t type, id;
        } device;
    };
    const char *bytes;
    size_t size;
    struct abi_tensor tensor;
    int64_t shape[MOST_RANK];
};

struct values {
    uint32_t count;
    struct value all[MOST_VALUES];
};

static int read_tensor(struct incoming *message, struct value *value, struct failure *failure) {
    struct abi_tensor *tensor = &value->tensor;
    memset(tensor, 0, sizeof *tensor);
    tensor->data = (void *)(uintptr_t)incoming_u64(message);
    tensor->device_type = (int32_t)incoming_u32(message);
    tensor->device_id = (int32_t)incoming_u32(message);
    tensor->rank = (int32_t)incoming_u32(message);
    incoming_read(message, &tensor->type_code, 4);
    if (tensor->rank < 0 || tensor->rank > MOST_RANK) {
        return fail(failure, "a tensor of %d dimensions: %d are the most", (int)tensor->rank,
                    MOST_RANK);
    }
    incoming_read(message, value->shape, (size_t)tensor->rank * sizeof *value->shape);
    tensor->shape = value->shape;
    tensor->byte_offset = incoming_u64(message);
    return message->is_short ? fail(failure, "a message ends within a tensor") : 0;
}

static void read_bytes(struct incoming *message, struct value *value) {
    uint64_t size = incoming_u64(message);
    value->bytes = (const char *)incoming_skip(message, size);
    value->size = value->bytes == NULL ? 0 : (size_t)size;
}

static int read_object(struct incoming *message, struct value *value, struct failure *failure) {
    uint32_t type = incoming_u32(message);
    if (type != TYPE_STRING && type != TYPE_BYTE_STRING) {
        return fail(failure, "an argument of type %u, which this server does not know", type);
    }
    value->type = type == TYPE_STRING ? TYPE_TEXT : TYPE_BYTES;
    read_bytes(message, value);
    return 0;
}

static int read_value(struct incoming *message, struct value *value, struct failure *failure) {
    value->type = (int32_t)incoming_u32(message);
    value->integer = 0;
    value->bytes = NULL;
    value->size = 0;
    switch (value->type) {
    case TYPE_NONE: return 0;
    case TYPE_INTEGER:
    case TYPE_BOOL:
    case TYPE_FLOAT:
    case TYPE_POINTER:
    case TYPE_DTYPE:
    case TYPE_DEVICE:
    case TYPE_FUNCTION:
    case TYPE_MODULE: incoming_read(message, &value->integer, sizeof value->integer); return 0;
    case TYPE_TENSOR: return read_tensor(message, value, failure);
    case TYPE_TEXT:
    case TYPE_BYTES: read_bytes(message, value); return 0;
    default: break;
    }
    if (value->type == TYPE_SMALL_TEXT || value->type == TYPE_SMALL_BYTES ||
        value->type >= TYPE_OBJECTS) {
        return read_object(message, value, failure);
    }
    return fail(failure, "an argument of type %d, which this server does not know",
                (int)value->type);
}

/* Reads all that is left of the message. */
static int read_values(struct incoming *message, struct values *values, struct failure *failure) {
    uint32_t count = incoming_u32(message);
    values->count = 0;
    if (count > MOST_VALUES) {
        return fail(failure, "%u arguments: %d are the most", count, MOST_VALUES);
    }
    for (uint32_t index = 0; index < count; ++index) {
        if (read_value(message, &values->all[index], failure) != 0) {
            return -1;
        }
    }
    values->count = count;
    return message->is_short ? fail(failure, "a message ends within its arguments") : 0;
}

/* A text's bytes are those of `wanted`. */
static int is_text(const struct value *value, const char *wanted) {
    return value->type == TYPE_TEXT && value->size == strlen(wanted) &&
           memcmp(value->bytes, wanted, value->size) == 0;
}

/* The wrong arguments of a function are named by their letters: i integer or bool, t text, b bytes
 * or text, p pointer, m module, x tensor, d device, y dtype, * none or anything; the rest may be
 * anything behind a final dot. */
static int check_values(const struct values *values, const char *name, const char *letters,
                        struct failure *failure) {
    size_t wanted = strcspn(letters, ".");
    if (values->count < wanted || (values->count > wanted && letters[wanted] == '\0')) {
        return fail(failure, "%s takes %zu arguments, and %u came", name, wanted, values->count);
    }
    for (size_t index = 0; index < wanted; ++index) {
        int32_t type = values->all[index].type;
        int is_good = letters[index] == '*' ||
                      (letters[index] == 'i' && (type == TYPE_INTEGER || type == TYPE_BOOL)) ||
                      (letters[index] == 't' && type == TYPE_TEXT) ||
                      (letters[index] == 'b' && (type == TYPE_BYTES || type == TYPE_TEXT)) ||
                      (letters[index] == 'p' && (type == TYPE_POINTER || type == TYPE_NONE)) ||
                      (letters[index] == 'm' && type == TYPE_MODULE) ||
                      (letters[index] == 'x' && type == TYPE_TENSOR) ||
                      (letters[index] == 'd' && type == TYPE_DEVICE) ||
                      (letters[index] == 'y' && type == TYPE_DTYPE);
        if (!is_good) {
            return fail(failure, "argument %zu of %s cannot be of type %d", index + 1, name,
                        (int)type);
        }
    }
    return 0;
}

#endif
