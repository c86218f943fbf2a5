/* Loads a shared library: its segments, its relocations and its symbols.
 *
 * What it needs is in `symbols.h`: the libraries that it names itself are not looked for, and its
 * constructors are not run, since kernels have none. */
#ifndef NATIVE_SERVER_SHARED_LIBRARY_H
#define NATIVE_SERVER_SHARED_LIBRARY_H

#include "image.h"

enum { MOST_SEGMENTS = 64, LONGEST_SYMBOL = 4096 };

#if defined(__x86_64__)
enum {
    RELOCATE_ABSOLUTE = R_X86_64_64,
    RELOCATE_DATA = R_X86_64_GLOB_DAT,
    RELOCATE_CALL = R_X86_64_JUMP_SLOT,
    RELOCATE_RELATIVE = R_X86_64_RELATIVE,
};
#elif defined(__aarch64__)
enum {
    RELOCATE_ABSOLUTE = R_AARCH64_ABS64,
    RELOCATE_DATA = R_AARCH64_GLOB_DAT,
    RELOCATE_CALL = R_AARCH64_JUMP_SLOT,
    RELOCATE_RELATIVE = R_AARCH64_RELATIVE,
};
#endif

/* Of the table that a library has for its loader. */
struct dynamic {
    uint64_t symbols, names, name_bytes, hash, gnu_hash;
    uint64_t relocations, relocation_bytes, calls, call_bytes;
    uint64_t symbol_count;
};

static int map_segments(const struct file_view *file, const Elf64_Ehdr *header,
                        struct image *image, uint64_t *dynamic, struct failure *failure) {
    Elf64_Phdr segments[MOST_SEGMENTS];
    uint64_t bytes = 0;
    unsigned count = header->e_phnum;
    const uint8_t *table = file_part(file, header->e_phoff, count * sizeof *segments);
    if (table == NULL || count == 0 || count > MOST_SEGMENTS ||
        header->e_phentsize != sizeof *segments) {
        return fail(failure, "it is damaged or truncated (no table of segments)");
    }
    memcpy(segments, table, count * sizeof *segments);
    for (unsigned index = 0; index < count; ++index) {
        const Elf64_Phdr *segment = &segments[index];
        if (segment->p_type == PT_TLS) {
            return fail(failure, "it has variables of threads, which kernels have not");
        }
        if (segment->p_type != PT_LOAD) {
            continue;
        }
        if (file_part(file, segment->p_offset, segment->p_filesz) == NULL) {
            return fail(failure, "it is truncated: %zu bytes came, and there are more", file->size);
        }
        if (segment->p_filesz > segment->p_memsz || segment->p_memsz > MOST_IMAGE_BYTES ||
            segment->p_vaddr > MOST_IMAGE_BYTES) {
            return fail(failure, "it is damaged (a segment of no size that could be)");
        }
        uint64_t end = segment->p_vaddr + segment->p_memsz;
        bytes = end > bytes ? end : bytes;
    }
    if (image_map(image, bytes, failure) != 0) {
        return -1;
    }
    for (unsigned index = 0; index < count; ++index) {
        const Elf64_Phdr *segment = &segments[index];
        if (segment->p_type == PT_DYNAMIC) {
            *dynamic = segment->p_vaddr;
        }
        if (segment->p_type == PT_LOAD) {
            int protection = (segment->p_flags & PF_R ? PROT_READ : 0) |
                             (segment->p_flags & PF_W ? PROT_WRITE : 0) |
                             (segment->p_flags & PF_X ? PROT_EXEC : 0);
            memcpy(image->start + segment->p_vaddr, file->bytes + segment->p_offset,
                   (size_t)segment->p_filesz);
            image_allow(image, segment->p_vaddr, segment->p_memsz, protection);
        }
    }
    return 0;
}

/* Symbols by GNU's hash table: the last one of the last bucket, and what follows it there. */
static uint64_t count_by_gnu_hash(const struct image *image, uint64_t table) {
    uint32_t head[4], last = 0, word;
    const uint8_t *start = image_part(image, table, sizeof head);
    if (start == NULL) {
        return 0;
    }
    memcpy(head, start, sizeof head);
    uint64_t buckets = table + sizeof head + (uint64_t)head[2] * 8;
    uint64_t chains = buckets + (uint64_t)head[0] * 4;
    for (uint32_t index = 0; index < head[0]; ++index) {
        if ((start = image_part(image, buckets + (uint64_t)index * 4, 4)) == NULL) {
            return 0;
        }
        memcpy(&word, start, sizeof word);
        last = word > last ? word : last;
    }
    if (last < head[1]) {
        return head[1];
    }
    do {
        if ((start = image_part(image, chains + (uint64_t)(last - head[1]) * 4, 4)) == NULL) {
            return 0;
        }
        memcpy(&word, start, sizeof word);
        last += 1;
    } while (!(word & 1));
    return last;
}

static int read_dynamic(const struct image *image, uint64_t table, struct dynamic *found,
                        struct failure *failure) {
    *found = (struct dynamic){0};
    for (;; table += sizeof(Elf64_Dyn)) {
        Elf64_Dyn entry;
        const uint8_t *start = table == 0 ? NULL : image_part(image, table, sizeof entry);
        if (start == NULL) {
            return fail(failure, "it is damaged (no table for a loader)");
        }
        memcpy(&entry, start, sizeof entry);
        uint64_t value = entry.d_un.d_val;
        switch (entry.d_tag) {
        case DT_NULL: goto done;
        case DT_SYMTAB: found->symbols = value; break;
        case DT_STRTAB: found->names = value; break;
        case DT_STRSZ: found->name_bytes = value; break;
        case DT_HASH: found->hash = value; break;
        case DT_GNU_HASH: found->gnu_hash = value; break;
        case DT_RELA: found->relocations = value; break;
        case DT_RELASZ: found->relocation_bytes = value; break;
        case DT_JMPREL: found->calls = value; break;
        case DT_PLTRELSZ: found->call_bytes = value; break;
        case DT_REL:
        case 36: /* DT_RELR */
            return fail(failure, "it has relocations of a kind that this server does not know: "
                                 "link it without -z pack-relative-relocs");
        default: break;
        }
    }
done:
    if (found->hash != 0) {
        const uint8_t *start = image_part(image, found->hash + 4, 4);
        uint32_t count = 0;
        if (start != NULL) {
            memcpy(&count, start, sizeof count);
        }
        found->symbol_count = count;
    } else if (found->gnu_hash != 0) {
        found->symbol_count = count_by_gnu_hash(image, found->gnu_hash);
    }
    uint64_t bytes = found->symbol_count * sizeof(Elf64_Sym);
    if (found->symbol_count == 0 || image_part(image, found->symbols, bytes) == NULL ||
        image_part(image, found->names, found->name_bytes) == NULL) {
        return fail(failure, "it is damaged (no symbols)");
    }
    return 0;
}

static int read_symbol(const struct image *image, const struct dynamic *dynamic, uint64_t index,
                       Elf64_Sym *symbol, const char **name, struct failure *failure) {
    if (index >= dynamic->symbol_count) {
        return fail(failure, "it is damaged (a symbol that it does not have)");
    }
    memcpy(symbol, image->start + dynamic->symbols + index * sizeof *symbol, sizeof *symbol);
    *name = symbol->st_name >= dynamic->name_bytes
                ? NULL
                : image_text(image, dynamic->names + symbol->st_name, LONGEST_SYMBOL);
    if (*name == NULL || (symbol->st_shndx != SHN_UNDEF && symbol->st_shndx != SHN_ABS &&
                          image_part(image, symbol->st_value, 0) == NULL)) {
        return fail(failure, "it is damaged (a symbol outside of it)");
    }
    return 0;
}

/* Where a symbol is: in the library itself, else in this server. */
static int resolve(const struct image *image, const struct dynamic *dynamic, uint64_t index,
                   uint64_t *address, struct failure *failure) {
    Elf64_Sym symbol;
    const char *name;
    if (read_symbol(image, dynamic, index, &symbol, &name, failure) != 0) {
        return -1;
    }
    if (ELF64_ST_TYPE(symbol.st_info) == STT_TLS || ELF64_ST_TYPE(symbol.st_info) == 10) {
        return fail(failure, "its symbol %s is of a kind that kernels do not use", name);
    }
    if (symbol.st_shndx != SHN_UNDEF) {
        *address = (uintptr_t)(image->start + symbol.st_value);
        return 0;
    }
    *address = index == 0 ? 0 : (uintptr_t)find_function(name);
    if (*address == 0 && index != 0 && ELF64_ST_BIND(symbol.st_info) != STB_WEAK) {
        return fail(failure, "it calls %s, which this server does not have", name);
    }
    return 0;
}

static int relocate(struct image *image, const struct dynamic *dynamic, uint64_t table,
                    uint64_t bytes, struct failure *failure) {
    if (image_part(image, table, bytes) == NULL) {
        return fail(failure, "it is damaged (no relocations)");
    }
    for (uint64_t at = 0; at + sizeof(Elf64_Rela) <= bytes; at += sizeof(Elf64_Rela)) {
        Elf64_Rela entry;
        uint64_t value = 0;
        memcpy(&entry, image->start + table + at, sizeof entry);
        uint8_t *place = image_part(image, entry.r_offset, sizeof value);
        unsigned type = ELF64_R_TYPE(entry.r_info);
        if (type == 0) {
            continue;
        }
        if (place == NULL) {
            return fail(failure, "it is damaged (a relocation outside of it)");
        }
        if (type == RELOCATE_RELATIVE) {
            value = (uintptr_t)image->start;
        } else if (type != RELOCATE_ABSOLUTE && type != RELOCATE_DATA && type != RELOCATE_CALL) {
            return fail(failure, "it has a relocation of type %u, which kernels do not use", type);
        } else if (resolve(image, dynamic, ELF64_R_SYM(entry.r_info), &value, failure) != 0) {
            return -1;
        }
        value += (uint64_t)entry.r_addend;
        memcpy(place, &value, sizeof value);
    }
    return 0;
}

static int export_symbols(struct image *image, const struct dynamic *dynamic,
                          struct failure *failure) {
    for (uint64_t index = 1; index < dynamic->symbol_count; ++index) {
        Elf64_Sym symbol;
        const char *name;
        if (read_symbol(image, dynamic, index, &symbol, &name, failure) != 0) {
            return -1;
        }
        if (symbol.st_shndx != SHN_UNDEF && symbol.st_shndx < SHN_LORESERVE &&
            ELF64_ST_BIND(symbol.st_info) != STB_LOCAL &&
            image_export(image, name, image->start + symbol.st_value, failure) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Loads the library; `image` is closed where that fails. */
static int load_shared_library(const struct file_view *file, const Elf64_Ehdr *header,
                               struct image *image, struct failure *failure) {
    struct dynamic dynamic;
    uint64_t table = 0;
    *image = (struct image){0};
    if (map_segments(file, header, image, &table, failure) != 0 ||
        read_dynamic(image, table, &dynamic, failure) != 0 ||
        relocate(image, &dynamic, dynamic.relocations, dynamic.relocation_bytes, failure) != 0 ||
        relocate(image, &dynamic, dynamic.calls, dynamic.call_bytes, failure) != 0 ||
        export_symbols(image, &dynamic, failure) != 0 ||
        image_fill_pointers(image, failure) != 0 || image_protect(image, failure) != 0) {
        image_close(image);
        return -1;
    }
    return 0;
}

#endif
