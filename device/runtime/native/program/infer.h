/* infer: a photograph in, linear light out. */
#ifndef NATIVE_PROGRAM_INFER_H
#define NATIVE_PROGRAM_INFER_H

#include <ctype.h>
#include <math.h>
#include <signal.h>
#include <sys/stat.h>

#include "facts.h"
#include "frame.h"
#include "options.h"

/* As compile/imaging/decode_hdr.py has them. */
static const double WHITE_SLOPE = 2.4 / 1.055, CURVATURE = 0.9, PEAK_LIGHT = 16;

static const long MOST_NUMBER = 1000000000;

/* A number of a PPM's header, behind spaces and comments. */
static long read_header_number(FILE *file, const char *path) {
    int byte = fgetc(file), in_comment = 0;
    while (byte != EOF && (in_comment || isspace(byte) || byte == '#')) {
        in_comment = (in_comment || byte == '#') && byte != '\n';
        byte = fgetc(file);
    }
    long number = 0;
    if (!isdigit(byte)) {
        refuse("%s is no PPM file with 8 bits a channel (P6 ... 255)", path);
    }
    for (; isdigit(byte); byte = fgetc(file)) {
        number = number < MOST_NUMBER ? number * 10 + byte - '0' : number;
    }
    while (byte == '#' || (in_comment && byte != EOF && byte != '\n')) {
        in_comment = 1;
        byte = fgetc(file);
    }
    if (!isspace(byte)) {
        refuse("%s is no PPM file with 8 bits a channel (P6 ... 255)", path);
    }
    return number;
}

static void read_ppm(const char *path, const struct tensor_facts *input, frame_buffer *buffer) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        refuse("%s cannot be opened", path);
    }
    if (fgetc(file) != 'P' || fgetc(file) != '6') {
        refuse("%s is no PPM file with 8 bits a channel (P6 ... 255)", path);
    }
    long width = read_header_number(file, path), height = read_header_number(file, path);
    if (read_header_number(file, path) != 255) {
        refuse("%s is no PPM file with 8 bits a channel (P6 ... 255)", path);
    }
    if (height != input->shape[1] || width != input->shape[2]) {
        refuse("%s is %ldx%ld, and this was built for %lldx%lld (height x width): resize the "
               "picture, or build for its size",
               path, height, width, (long long)input->shape[1], (long long)input->shape[2]);
    }
    if (fread(buffer->data, 1, buffer->bytes, file) != buffer->bytes) {
        refuse("%s ends too early", path);
    }
    fclose(file);
}

static double srgb_light(double value) {
    return value <= 0.04045 ? value / 12.92 : pow((value + 0.055) / 1.055, 2.4);
}

/* Linear light, of which 1 is white, that a value of the picture means. */
static float decode(enum decoding decoding, float value) {
    if (decoding == DECODE_SRGB) {
        return (float)srgb_light(value);
    }
    if (decoding == DECODE_EXTENDED_SRGB) {
        double z = fmax(log(value / (1 - value)), 0), t = fmax(z - 1, 0);
        double above = exp(t * (WHITE_SLOPE + CURVATURE * t));
        return (float)fmin(srgb_light(fmin(z, 1)) * above, PEAK_LIGHT);
    }
    return value;
}

static void write_pfm(const char *path, const struct tensor_facts *output,
                      const frame_buffer *buffer, enum decoding decoding) {
    signal(SIGXFSZ, SIG_IGN); /* A file's size limit is an error of the write, as a full disk is. */
    FILE *file = fopen(path, "wb");
    struct stat kind;
    if (file == NULL || fstat(fileno(file), &kind) != 0) {
        refuse("%s cannot be written", path);
    }
    size_t height = (size_t)output->shape[1], row = (size_t)(output->shape[2] * output->shape[3]);
    fprintf(file, "PF\n%lld %zu\n-1.0\n", (long long)output->shape[2], height);
    float *line = take_memory(row * sizeof *line);
    for (size_t y = height; y-- > 0;) { /* from the bottom, as the format has it */
        for (size_t x = 0; x < row; ++x) {
            line[x] = decode(decoding, ((const float *)buffer->data)[y * row + x]);
        }
        fwrite(line, sizeof *line, row, file);
    }
    free(line);
    int failed = ferror(file);
    if (fclose(file) != 0 || failed) {
        if (S_ISREG(kind.st_mode)) { /* Nobody's pipe or device is ours to remove. */
            remove(path);
        }
        refuse("%s cannot be written", path);
    }
}

static int infer_main(const struct program_facts *facts, const struct options *options) {
    const struct network *network = facts->network;
    if (facts->decoding == DECODE_NONE) {
        refuse("%s makes no picture in colour of one: use the library", facts->title);
    }
    if (options->path_count != 2) {
        refuse("infer needs a photograph and a file to write: %s-run infer IN.ppm OUT.pfm",
               facts->name);
    }
    struct frame frame = make_frame(network);
    read_ppm(options->paths[0], &facts->inputs[0], &frame.inputs[0]);
    uint64_t cores = choose_cores(options->cores);
    system_bind(cores);
    unsigned threads = options->thread_counts > 0 ? options->threads[0] : 1;
    uint64_t handle = open_or_refuse(network, threads, cores);
    run_or_refuse(network, handle, &frame, NULL, NULL);
    handle_close(handle);
    write_pfm(options->paths[1], &facts->outputs[0], &frame.outputs[0], facts->decoding);
    return 0;
}

#endif
