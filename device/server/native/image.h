/* Machine code of an upload in memory: where it lies, what it offers by name, and who may write
 * to it. */
#ifndef NATIVE_SERVER_IMAGE_H
#define NATIVE_SERVER_IMAGE_H

#include <elf.h>
#include <sys/mman.h>

#include "symbols.h"

#if defined(__x86_64__)
enum { OWN_MACHINE = EM_X86_64 };
#elif defined(__aarch64__)
enum { OWN_MACHINE = EM_AARCH64 };
#endif

static const uint64_t MOST_IMAGE_BYTES = (uint64_t)1 << 30;

/* Bytes of an upload. */
struct file_view {
    const uint8_t *bytes;
    size_t size;
};

struct image {
    uint8_t *start;
    size_t bytes;
    uint8_t *protection; /* PROT_* of each page */
    struct symbol *exports;
    size_t export_count;
};

static size_t page_bytes(void) {
    return (size_t)sysconf(_SC_PAGESIZE);
}

static const char *machine_name(unsigned machine) {
    switch (machine) {
    case EM_X86_64: return "x86-64";
    case EM_AARCH64: return "aarch64";
    case EM_ARM: return "32-bit ARM";
    case EM_386: return "32-bit x86";
    default: return "another processor";
    }
}

/* A part of a file; NULL where it has none there. */
static const uint8_t *file_part(const struct file_view *file, uint64_t offset, uint64_t bytes) {
    return offset > file->size || bytes > file->size - offset ? NULL : file->bytes + offset;
}

/* A part of an image; NULL where it has none there. */
static uint8_t *image_part(const struct image *image, uint64_t offset, uint64_t bytes) {
    return offset > image->bytes || bytes > image->bytes - offset ? NULL : image->start + offset;
}

/* A text in an image; NULL where it does not end there. */
static const char *image_text(const struct image *image, uint64_t offset, uint64_t most) {
    const char *text = (const char *)image_part(image, offset, 1);
    if (text == NULL) {
        return NULL;
    }
    uint64_t left = image->bytes - offset;
    return memchr(text, 0, (size_t)(left < most ? left : most)) == NULL ? NULL : text;
}

static int read_header(const struct file_view *file, Elf64_Ehdr *header, struct failure *failure) {
    const uint8_t *start = file_part(file, 0, sizeof *header);
    if (start == NULL || memcmp(start, ELFMAG, SELFMAG) != 0) {
        return fail(failure, "it is no ELF file");
    }
    memcpy(header, start, sizeof *header);
    int is_wide = header->e_ident[EI_CLASS] == ELFCLASS64;
    if (!is_wide || header->e_ident[EI_DATA] != ELFDATA2LSB || header->e_machine != OWN_MACHINE) {
        return fail(failure, "it was built for %s, and this device is %s",
                    machine_name(header->e_machine), machine_name(OWN_MACHINE));
    }
    return 0;
}

/* Takes the memory, all of zeros, which can be written to until `image_protect`. */
static int image_map(struct image *image, uint64_t bytes, struct failure *failure) {
    size_t page = page_bytes();
    *image = (struct image){0};
    if (bytes == 0 || bytes > MOST_IMAGE_BYTES) {
        return fail(failure, "it takes %llu bytes of memory, and %llu are the most",
                    (unsigned long long)bytes, (unsigned long long)MOST_IMAGE_BYTES);
    }
    image->bytes = ((size_t)bytes + page - 1) / page * page;
    image->protection = calloc(image->bytes / page, 1);
    image->start = system_map(image->bytes);
    if (image->protection == NULL || image->start == NULL) {
        return fail(failure, "the device has no memory for it");
    }
    return 0;
}

/* Allows the use of all pages of a part, which lies in the image. */
static void image_allow(struct image *image, uint64_t offset, uint64_t bytes, int protection) {
    size_t page = page_bytes();
    for (uint64_t at = offset / page; at * page < offset + bytes; ++at) {
        image->protection[at] |= (uint8_t)protection;
    }
}

/* Ends the writing: what is code can be run and no more be changed. */
static int image_protect(struct image *image, struct failure *failure) {
    size_t page = page_bytes(), pages = image->bytes / page;
    __builtin___clear_cache((char *)image->start, (char *)image->start + image->bytes);
    for (size_t first = 0, next; first < pages; first = next) {
        for (next = first; next < pages && image->protection[next] == image->protection[first];) {
            ++next;
        }
        if (mprotect(image->start + first * page, (next - first) * page,
                     image->protection[first]) != 0) {
            return fail(failure, "the device does not let it be run");
        }
    }
    return 0;
}

static void image_close(struct image *image) {
    if (image->start != NULL) {
        system_unmap(image->start, image->bytes);
    }
    free(image->protection);
    free(image->exports);
    *image = (struct image){0};
}

static int image_export(struct image *image, const char *name, void *address,
                        struct failure *failure) {
    if (image->export_count % 64 == 0) {
        struct symbol *larger =
            realloc(image->exports, (image->export_count + 64) * sizeof *larger);
        if (larger == NULL) {
            return fail(failure, "no memory is left on the device");
        }
        image->exports = larger;
    }
    image->exports[image->export_count++] = (struct symbol){name, address};
    return 0;
}

static void *image_find(const struct image *image, const char *name) {
    for (size_t index = 0; index < image->export_count; ++index) {
        if (strcmp(image->exports[index].name, name) == 0) {
            return image->exports[index].address;
        }
    }
    return NULL;
}

/* Fills in the pointers by which the kernels call the runtime, and refuses those that it lacks. */
static int image_fill_pointers(struct image *image, struct failure *failure) {
    for (size_t index = 0; index < image->export_count; ++index) {
        const char *name = image->exports[index].name;
        uint8_t *place = image->exports[index].address;
        if (strcmp(name, "__tvm_ffi__library_bin") == 0) {
            return fail(failure, "it is a network for TVM's virtual machine or holds code for a "
                                 "GPU, which a server without TVM cannot run");
        }
        if (strncmp(name, "__TVM", 5) != 0) {
            continue;
        }
        void *address = find_function(name + 2);
        if (address == NULL) {
            return fail(failure, "it calls %s, which this server does not have", name + 2);
        }
        uint64_t offset = (uint64_t)(place - image->start);
        if (place < image->start || image_part(image, offset, sizeof address) == NULL) {
            return fail(failure, "its pointer %s lies outside of it", name);
        }
        memcpy(place, &address, sizeof address);
    }
    return 0;
}

#endif
