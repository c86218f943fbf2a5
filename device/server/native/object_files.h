/* Links object files in memory: what TVM uploads as `.o`, or several of them in a `.tar`.
 *
 * All sections that a program needs are laid out one class after the other (code, constants,
 * data), behind them the slots of all symbols and the symbols' names. */
#ifndef NATIVE_SERVER_OBJECT_FILES_H
#define NATIVE_SERVER_OBJECT_FILES_H

#include "relocations.h"

enum { MOST_OBJECT_FILES = 64, MOST_SECTIONS = 20000, MOST_SECTION_ALIGNMENT = 1 << 12 };

static const uint64_t NOWHERE = UINT64_MAX;

struct object_file {
    struct file_view file;
    Elf64_Shdr *sections;
    uint64_t *places; /* of each section in the image, or NOWHERE */
    unsigned section_count;
    const uint8_t *symbols;
    uint64_t symbol_count;
    const uint8_t *names;
    uint64_t name_bytes;
    uint64_t name_place, slot_place, common_place;
};

struct linking {
    struct object_file files[MOST_OBJECT_FILES];
    unsigned count;
};

static void linking_close(struct linking *linking) {
    for (unsigned index = 0; index < linking->count; ++index) {
        free(linking->files[index].sections);
        free(linking->files[index].places);
    }
}

static int add_object_file(struct linking *linking, const struct file_view *view,
                           struct failure *failure) {
    Elf64_Ehdr header;
    if (linking->count == MOST_OBJECT_FILES) {
        return fail(failure, "it holds more than %d object files", MOST_OBJECT_FILES);
    }
    if (read_header(view, &header, failure) != 0) {
        return -1;
    }
    struct object_file *object = &linking->files[linking->count++];
    unsigned count = header.e_shnum;
    *object = (struct object_file){.file = *view, .section_count = count};
    const uint8_t *table = file_part(view, header.e_shoff, count * sizeof *object->sections);
    if (header.e_type != ET_REL || table == NULL || count == 0 || count > MOST_SECTIONS ||
        header.e_shentsize != sizeof *object->sections) {
        return fail(failure, "it is no whole object file: it is damaged, truncated, or a program");
    }
    object->sections = calloc(count, sizeof *object->sections);
    object->places = calloc(count, sizeof *object->places);
    if (object->sections == NULL || object->places == NULL) {
        return fail(failure, "no memory is left on the device");
    }
    memcpy(object->sections, table, count * sizeof *object->sections);
    for (unsigned index = 0; index < count; ++index) {
        const Elf64_Shdr *section = &object->sections[index];
        object->places[index] = NOWHERE;
        if (section->sh_type == SHT_NOBITS || section->sh_type == SHT_NULL) {
            continue;
        }
        const uint8_t *content = file_part(view, section->sh_offset, section->sh_size);
        if (content == NULL) {
            return fail(failure, "it is truncated: %zu bytes came, and there are more", view->size);
        }
        if (section->sh_type == SHT_SYMTAB && section->sh_link < count) {
            const Elf64_Shdr *names = &object->sections[section->sh_link];
            object->symbols = content;
            object->symbol_count = section->sh_size / sizeof(Elf64_Sym);
            object->names = file_part(view, names->sh_offset, names->sh_size);
            object->name_bytes = object->names == NULL ? 0 : names->sh_size;
        }
    }
    if (object->name_bytes == 0 || object->names[object->name_bytes - 1] != 0) {
        return fail(failure, "it is damaged (no symbols)");
    }
    return 0;
}

static int read_object_symbol(const struct object_file *object, uint64_t index, Elf64_Sym *symbol,
                              const char **name, struct failure *failure) {
    if (index >= object->symbol_count) {
        return fail(failure, "it is damaged (a symbol that it does not have)");
    }
    memcpy(symbol, object->symbols + index * sizeof *symbol, sizeof *symbol);
    if (symbol->st_name >= object->name_bytes) {
        return fail(failure, "it is damaged (a symbol without a name)");
    }
    *name = (const char *)object->names + symbol->st_name;
    return 0;
}

static uint64_t round_up(uint64_t at, uint64_t alignment) {
    return (at + alignment - 1) / alignment * alignment;
}

static int protection_of(const Elf64_Shdr *section) {
    return section->sh_flags & SHF_EXECINSTR ? PROT_READ | PROT_EXEC
           : section->sh_flags & SHF_WRITE   ? PROT_READ | PROT_WRITE
                                             : PROT_READ;
}

/* Takes room in the image; NOWHERE where that is too much. */
static uint64_t take_room(uint64_t *used, uint64_t bytes, uint64_t alignment) {
    uint64_t place = round_up(*used, alignment == 0 ? 1 : alignment);
    if (alignment > MOST_SECTION_ALIGNMENT || bytes > MOST_IMAGE_BYTES ||
        place > MOST_IMAGE_BYTES) {
        return NOWHERE;
    }
    *used = place + bytes;
    return place;
}

/* Variables that no section holds. */
static int lay_out_commons(struct object_file *object, uint64_t *used, struct failure *failure) {
    uint64_t bytes = 0;
    for (uint64_t index = 0; index < object->symbol_count; ++index) {
        Elf64_Sym symbol;
        memcpy(&symbol, object->symbols + index * sizeof symbol, sizeof symbol);
        if (symbol.st_shndx == SHN_COMMON) {
            bytes += round_up(symbol.st_size > MOST_IMAGE_BYTES ? 0 : symbol.st_size, 64);
        }
    }
    object->common_place = take_room(used, bytes, 64);
    return object->common_place == NOWHERE ? fail(failure, "it needs too much memory") : 0;
}

static int lay_out_files(struct linking *linking, struct image *image, struct failure *failure) {
    static const int classes[] = {PROT_READ | PROT_EXEC, PROT_READ, PROT_READ | PROT_WRITE};
    uint64_t used = 0, ends[3];
    for (int class = 0; class < 3; ++class) {
        used = round_up(used, page_bytes());
        for (unsigned file = 0; file < linking->count; ++file) {
            struct object_file *object = &linking->files[file];
            for (unsigned index = 0; index < object->section_count; ++index) {
                const Elf64_Shdr *section = &object->sections[index];
                if (!(section->sh_flags & SHF_ALLOC) || protection_of(section) != classes[class]) {
                    continue;
                }
                object->places[index] = take_room(&used, section->sh_size, section->sh_addralign);
                if (section->sh_flags & SHF_TLS || object->places[index] == NOWHERE) {
                    return fail(failure, "it has variables of threads, or needs too much memory");
                }
            }
            if (class == 0) {
                object->slot_place = take_room(&used, object->symbol_count * SLOT_BYTES, 64);
            } else if (class == 1) {
                object->name_place = take_room(&used, object->name_bytes, 1);
            } else if (lay_out_commons(object, &used, failure) != 0) {
                return -1;
            }
        }
        ends[class] = used;
    }
    if (image_map(image, used, failure) != 0) {
        return -1;
    }
    for (int class = 0; class < 3; ++class) {
        uint64_t start = class == 0 ? 0 : round_up(ends[class - 1], page_bytes());
        image_allow(image, start, ends[class] - (start < ends[class] ? start : ends[class]),
                    classes[class]);
    }
    return 0;
}

static void copy_sections(const struct linking *linking, struct image *image) {
    for (unsigned file = 0; file < linking->count; ++file) {
        const struct object_file *object = &linking->files[file];
        memcpy(image->start + object->name_place, object->names, (size_t)object->name_bytes);
        for (unsigned index = 0; index < object->section_count; ++index) {
            const Elf64_Shdr *section = &object->sections[index];
            if (object->places[index] != NOWHERE && section->sh_type != SHT_NOBITS &&
                section->sh_type != SHT_NULL) {
                memcpy(image->start + object->places[index],
                       object->file.bytes + section->sh_offset, (size_t)section->sh_size);
            }
        }
    }
}

/* Finds where each symbol that a file defines itself lies, which its slot keeps; what others can
 * use is exported. */
static int place_symbols(struct object_file *object, struct image *image,
                         struct failure *failure) {
    uint64_t common = object->common_place;
    for (uint64_t index = 1; index < object->symbol_count; ++index) {
        Elf64_Sym symbol;
        const char *name;
        if (read_object_symbol(object, index, &symbol, &name, failure) != 0) {
            return -1;
        }
        uint64_t place = NOWHERE, address = 0;
        if (symbol.st_shndx == SHN_COMMON) {
            place = common;
            common += round_up(symbol.st_size > MOST_IMAGE_BYTES ? 0 : symbol.st_size, 64);
        } else if (symbol.st_shndx != SHN_UNDEF && symbol.st_shndx < object->section_count) {
            place = object->places[symbol.st_shndx];
            place = place == NOWHERE ? NOWHERE : place + symbol.st_value;
        }
        if (symbol.st_shndx == SHN_ABS) {
            address = symbol.st_value;
        } else if (place != NOWHERE) {
            if (image_part(image, place, 0) == NULL) {
                return fail(failure, "it is damaged (a symbol outside of it)");
            }
            address = (uintptr_t)(image->start + place);
        }
        fill_slot(image->start + object->slot_place + index * SLOT_BYTES, address);
        if (place != NOWHERE && ELF64_ST_BIND(symbol.st_info) != STB_LOCAL &&
            image_export(image, (char *)image->start + object->name_place + symbol.st_name,
                         image->start + place, failure) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Finds the symbols that a file does not define: in other files, else in this server. */
static int find_symbols(struct object_file *object, struct image *image, struct failure *failure) {
    for (uint64_t index = 1; index < object->symbol_count; ++index) {
        Elf64_Sym symbol;
        const char *name;
        if (read_object_symbol(object, index, &symbol, &name, failure) != 0) {
            return -1;
        }
        if (symbol.st_shndx != SHN_UNDEF) {
            continue;
        }
        void *address = image_find(image, name);
        address = address == NULL ? find_function(name) : address;
        int may_be_missing = ELF64_ST_BIND(symbol.st_info) == STB_WEAK ||
                             strcmp(name, "_GLOBAL_OFFSET_TABLE_") == 0;
        if (address == NULL && !may_be_missing) {
            return fail(failure, "it calls %s, which this server does not have", name);
        }
        fill_slot(image->start + object->slot_place + index * SLOT_BYTES, (uintptr_t)address);
    }
    return 0;
}

static int relocate_section(const struct object_file *object, const Elf64_Shdr *table,
                            struct image *image, struct failure *failure) {
    if (table->sh_type == SHT_REL) {
        return fail(failure, "it has relocations of a kind that this server does not know");
    }
    if (table->sh_type != SHT_RELA || table->sh_info >= object->section_count ||
        object->places[table->sh_info] == NOWHERE) {
        return 0;
    }
    uint64_t size = object->sections[table->sh_info].sh_size;
    for (uint64_t at = 0; at + sizeof(Elf64_Rela) <= table->sh_size; at += sizeof(Elf64_Rela)) {
        Elf64_Rela entry;
        memcpy(&entry, object->file.bytes + table->sh_offset + at, sizeof entry);
        uint64_t index = ELF64_R_SYM(entry.r_info);
        if (entry.r_offset > size || index >= object->symbol_count) {
            return fail(failure, "it is damaged (a relocation outside of its section)");
        }
        struct relocation one = {
            .place = image->start + object->places[table->sh_info] + entry.r_offset,
            .room = size - entry.r_offset,
            .addend = entry.r_addend,
            .slot = image->start + object->slot_place + index * SLOT_BYTES,
        };
        memcpy(&one.symbol, one.slot, sizeof one.symbol);
        unsigned type = ELF64_R_TYPE(entry.r_info);
        if (type != 0 && apply_relocation(&one, type, failure) != 0) {
            return -1;
        }
    }
    return 0;
}

/* Links the files; `image` is closed where that fails. */
static int link_object_files(struct linking *linking, struct image *image,
                             struct failure *failure) {
    *image = (struct image){0};
    int failed = lay_out_files(linking, image, failure) != 0;
    if (!failed) {
        copy_sections(linking, image);
    }
    for (unsigned file = 0; file < linking->count && !failed; ++file) {
        failed = place_symbols(&linking->files[file], image, failure) != 0;
    }
    for (unsigned file = 0; file < linking->count && !failed; ++file) {
        failed = find_symbols(&linking->files[file], image, failure) != 0;
    }
    for (unsigned file = 0; file < linking->count && !failed; ++file) {
        const struct object_file *object = &linking->files[file];
        for (unsigned index = 0; index < object->section_count && !failed; ++index) {
            failed = relocate_section(object, &object->sections[index], image, failure) != 0;
        }
    }
    failed = failed || image_fill_pointers(image, failure) != 0 ||
             image_protect(image, failure) != 0;
    if (failed) {
        image_close(image);
    }
    return failed ? -1 : 0;
}

#endif
