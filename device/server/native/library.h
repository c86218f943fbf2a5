/* An uploaded library, by what kind of file it is. */
#ifndef NATIVE_SERVER_LIBRARY_H
#define NATIVE_SERVER_LIBRARY_H

#include "inflate.h"
#include "object_files.h"
#include "shared_library.h"

#define KERNEL_PREFIX "__tvm_ffi_"

enum { TAR_BLOCK = 512, TAR_SIZE = 124, TAR_TYPE = 156, TAR_MAGIC = 257 };

static int is_archive(const struct file_view *file) {
    return file->size >= TAR_BLOCK && memcmp(file->bytes + TAR_MAGIC, "ustar", 5) == 0;
}

/* Takes all object files of a .tar; what else is in it has nothing to be run. */
static int add_archive(struct linking *linking, const struct file_view *file,
                       struct failure *failure) {
    for (uint64_t at = 0;;) {
        const uint8_t *head = file_part(file, at, TAR_BLOCK);
        if (head == NULL || head[0] == 0) {
            break;
        }
        uint64_t size = 0;
        for (int digit = 0; digit < 11 && head[TAR_SIZE + digit] >= '0'; ++digit) {
            size = size * 8 + (head[TAR_SIZE + digit] & 7);
        }
        const uint8_t *content = file_part(file, at + TAR_BLOCK, size);
        if (content == NULL) {
            return fail(failure, "it is truncated: %zu bytes came, and there are more", file->size);
        }
        struct file_view part = {content, (size_t)size};
        int is_file = head[TAR_TYPE] == '0' || head[TAR_TYPE] == 0;
        if (is_file && size >= SELFMAG && memcmp(content, ELFMAG, SELFMAG) == 0 &&
            add_object_file(linking, &part, failure) != 0) {
            return -1;
        }
        at += TAR_BLOCK + (size + TAR_BLOCK - 1) / TAR_BLOCK * TAR_BLOCK;
    }
    return linking->count == 0 ? fail(failure, "it holds no object file") : 0;
}

static int link_upload(const struct file_view *file, struct image *image,
                       struct failure *failure) {
    struct linking linking = {.count = 0};
    int failed = is_archive(file) ? add_archive(&linking, file, failure)
                                  : add_object_file(&linking, file, failure);
    failed = failed != 0 || link_object_files(&linking, image, failure) != 0;
    linking_close(&linking);
    return failed ? -1 : 0;
}

static int load_unpacked(const struct file_view *file, struct image *image,
                         struct failure *failure) {
    Elf64_Ehdr header = {.e_type = ET_NONE};
    if (!is_archive(file) && read_header(file, &header, failure) != 0) {
        return -1;
    }
    return header.e_type == ET_DYN ? load_shared_library(file, &header, image, failure)
                                   : link_upload(file, image, failure);
}

/* Loads the library; the failure names it, and nothing is kept then. */
static int load_library(const char *name, const struct file_view *file, struct image *image,
                        struct failure *failure) {
    struct file_view unpacked = {NULL, 0};
    struct failure why;
    int failed = is_packed(file) && unpack(file, &unpacked, &why) != 0;
    failed = failed || load_unpacked(unpacked.bytes == NULL ? file : &unpacked, image, &why) != 0;
    free((void *)(uintptr_t)unpacked.bytes);
    return failed ? fail(failure, "%.200s cannot be loaded: %.280s", name, why.text) : 0;
}

/* The kernel of this name; NULL where the library has none. */
static abi_kernel find_kernel(const struct image *image, const char *name, size_t size) {
    char symbol[LONGEST_SYMBOL];
    if (size >= sizeof symbol - sizeof KERNEL_PREFIX || memchr(name, 0, size) != NULL) {
        return NULL;
    }
    memcpy(symbol, KERNEL_PREFIX, sizeof KERNEL_PREFIX - 1);
    memcpy(symbol + sizeof KERNEL_PREFIX - 1, name, size);
    symbol[sizeof KERNEL_PREFIX - 1 + size] = '\0';
    return (abi_kernel)(uintptr_t)image_find(image, symbol);
}

#endif
