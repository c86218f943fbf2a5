/* An uploaded library, by what kind of file it is. */
#ifndef NATIVE_SERVER_LIBRARY_H
#define NATIVE_SERVER_LIBRARY_H

#include "shared_library.h"

#define KERNEL_PREFIX "__tvm_ffi_"

/* Loads the library; the failure names it, and nothing is kept then. */
static int load_library(const char *name, const struct file_view *file, struct image *image,
                        struct failure *failure) {
    Elf64_Ehdr header;
    struct failure why;
    int failed = read_header(file, &header, &why);
    if (!failed && header.e_type == ET_DYN) {
        failed = load_shared_library(file, &header, image, &why);
    } else if (!failed) {
        failed = fail(&why, "it is neither a shared library nor an object file");
    }
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
