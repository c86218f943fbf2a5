/* What a client holds by a handle: functions of this server, libraries, their kernels, and
 * stopwatches around those. A handle is a number into a table, never an address. */
#ifndef NATIVE_SERVER_OBJECTS_H
#define NATIVE_SERVER_OBJECTS_H

#include "library.h"
#include "values.h"

enum object_kind { OBJECT_NONE, OBJECT_FUNCTION, OBJECT_LIBRARY, OBJECT_KERNEL, OBJECT_STOPWATCH };

enum { MOST_OBJECTS = 1 << 16 };

/* How a kernel is timed: see stopwatch.h. */
struct stopwatch_plan {
    int64_t number, repeat, least_milliseconds, most_zeros;
    int64_t rest_milliseconds, repeats_to_rest, flushed_bytes;
    int flushes_arguments;
};

struct object {
    enum object_kind kind;
    uint32_t holders; /* handles, and objects that need it */
    uint32_t function; /* of OBJECT_FUNCTION: its place in the table of functions */
    uint64_t library; /* handle of what a kernel belongs to */
    abi_kernel kernel;
    struct image image;
    struct stopwatch_plan plan;
};

struct objects {
    struct object *all;
    uint32_t count;
};

static struct object *objects_find(const struct objects *objects, uint64_t handle) {
    if (handle == 0 || handle > objects->count || objects->all[handle - 1].kind == OBJECT_NONE) {
        return NULL;
    }
    return &objects->all[handle - 1];
}

/* A new object of one holder; its handle, 0 where there is no room. */
static uint64_t objects_add(struct objects *objects, enum object_kind kind) {
    uint32_t index = 0;
    while (index < objects->count && objects->all[index].kind != OBJECT_NONE) {
        ++index;
    }
    if (index == objects->count) {
        struct object *larger = NULL;
        if (objects->count < MOST_OBJECTS) {
            larger = realloc(objects->all, (objects->count + 64) * sizeof *larger);
        }
        if (larger == NULL) {
            return 0;
        }
        memset(larger + objects->count, 0, 64 * sizeof *larger);
        objects->all = larger;
        objects->count += 64;
    }
    objects->all[index] = (struct object){.kind = kind, .holders = 1};
    return index + 1;
}

static void objects_let_go(struct objects *objects, uint64_t handle) {
    struct object *object = objects_find(objects, handle);
    while (object != NULL && --object->holders == 0) {
        uint64_t needed = object->library;
        if (object->kind == OBJECT_LIBRARY) {
            image_close(&object->image);
        }
        *object = (struct object){.kind = OBJECT_NONE};
        object = objects_find(objects, needed);
    }
}

/* A kernel of a library, or a stopwatch around it. */
static uint64_t objects_add_kernel(struct objects *objects, enum object_kind kind,
                                   uint64_t library, const struct value *name,
                                   struct failure *failure) {
    struct object *owner = objects_find(objects, library);
    if (owner == NULL || owner->kind != OBJECT_LIBRARY) {
        fail(failure, "the handle of a library is wrong");
        return 0;
    }
    abi_kernel kernel = find_kernel(&owner->image, name->bytes, name->size);
    if (kernel == NULL) {
        fail(failure, "the library has no function %.*s", (int)name->size, name->bytes);
        return 0;
    }
    uint64_t handle = objects_add(objects, kind);
    if (handle == 0) {
        fail(failure, "the session holds too many functions");
        return 0;
    }
    /* The table may have moved. */
    objects_find(objects, library)->holders += 1;
    objects->all[handle - 1].library = library;
    objects->all[handle - 1].kernel = kernel;
    return handle;
}

#endif
