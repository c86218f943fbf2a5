/* Files that a client has uploaded. They are kept in the session's memory: nothing of a session is
 * ever on the disk. */
#ifndef NATIVE_SERVER_UPLOADS_H
#define NATIVE_SERVER_UPLOADS_H

#include "values.h"

enum { MOST_UPLOADS = 256, LONGEST_NAME = 255 };

struct upload {
    char name[LONGEST_NAME + 1];
    uint8_t *bytes;
    size_t size;
};

struct uploads {
    struct upload *all[MOST_UPLOADS];
    uint32_t count;
    size_t bytes; /* of all together */
};

static struct upload *uploads_find(struct uploads *uploads, const struct value *name,
                                   struct failure *failure) {
    for (uint32_t index = 0; index < uploads->count; ++index) {
        if (is_text(name, uploads->all[index]->name)) {
            return uploads->all[index];
        }
    }
    fail(failure, "no file of the name %.*s was uploaded", (int)name->size, name->bytes);
    return NULL;
}

static void uploads_remove(struct uploads *uploads, struct upload *upload) {
    for (uint32_t index = 0; index < uploads->count; ++index) {
        if (uploads->all[index] == upload) {
            uploads->all[index] = uploads->all[--uploads->count];
            uploads->bytes -= upload->size;
            free(upload->bytes);
            free(upload);
            return;
        }
    }
}

static int uploads_add(struct uploads *uploads, const struct value *name,
                       const struct value *content, size_t most_bytes, struct failure *failure) {
    struct failure unused;
    struct upload *before = uploads_find(uploads, name, &unused);
    if (before != NULL) {
        uploads_remove(uploads, before);
    }
    if (name->size == 0 || name->size > LONGEST_NAME || memchr(name->bytes, 0, name->size)) {
        return fail(failure, "a file's name has to have 1 to %d characters", LONGEST_NAME);
    }
    if (uploads->count == MOST_UPLOADS) {
        return fail(failure, "%d files are the most that are kept: remove some", MOST_UPLOADS);
    }
    if (content->size > most_bytes - uploads->bytes) {
        return fail(failure, "the uploaded files are more than %zu MB together: remove some, or "
                             "start the server with a larger --most-megabytes",
                    most_bytes >> 20);
    }
    struct upload *upload = malloc(sizeof *upload);
    uint8_t *bytes = malloc(content->size + 1);
    if (upload == NULL || bytes == NULL) {
        free(upload);
        free(bytes);
        return fail(failure, "no memory is left on the device");
    }
    memcpy(upload->name, name->bytes, name->size);
    upload->name[name->size] = '\0';
    if (content->size != 0) {
        memcpy(bytes, content->bytes, content->size);
    }
    upload->bytes = bytes;
    upload->size = content->size;
    uploads->bytes += content->size;
    uploads->all[uploads->count++] = upload;
    return 0;
}

#endif
