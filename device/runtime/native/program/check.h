/* check: does this processor compute what the compiler did? */
#ifndef NATIVE_PROGRAM_CHECK_H
#define NATIVE_PROGRAM_CHECK_H

#include <math.h>

#include "facts.h"
#include "frame.h"
#include "json.h"
#include "options.h"
#include "vector.h"

enum { TYPE_FLOAT = 2, TYPE_BFLOAT = 4 };

struct check {
    const struct network *network;
    const uint64_t *digests;
    uint32_t compared;
    int32_t first_wrong; /* call; -1 for none */
};

static int is_float(const struct abi_tensor *tensor) {
    return tensor->type_code == TYPE_FLOAT || tensor->type_code == TYPE_BFLOAT;
}

static size_t tensor_bytes(const struct abi_tensor *tensor) {
    size_t bytes = (tensor->type_bits + 7u) / 8u;
    for (int32_t index = 0; index < tensor->rank; ++index) {
        bytes *= (size_t)tensor->shape[index];
    }
    return bytes;
}

static void compare_call(void *self, struct instance *instance, uint32_t index) {
    struct check *check = self;
    const struct kernel_call *call = &check->network->calls[index];
    if (check->digests[index] == 0 || check->first_wrong >= 0) {
        return;
    }
    uint32_t crc = 0;
    for (uint32_t result = 0; result < call->result_count; ++result) {
        uint32_t argument =
            call->first_argument + call->argument_count - call->result_count + result;
        const struct abi_tensor *tensor = instance->arguments[argument].value.tensor;
        if (!is_float(tensor)) {
            crc = crc32_of(crc, tensor->data, tensor_bytes(tensor));
        }
    }
    check->compared += 1;
    if ((1ull << 32 | crc) != check->digests[index]) {
        check->first_wrong = (int32_t)index;
    }
}

static float half_value(uint16_t half) {
    int exponent = half >> 10 & 0x1f, fraction = half & 0x3ff;
    float value = exponent == 0x1f ? (fraction == 0 ? INFINITY : NAN)
                  : exponent == 0  ? ldexpf((float)fraction, -24)
                                   : ldexpf((float)(fraction + 0x400), exponent - 25);
    return half >> 15 ? -value : value;
}

/* An element of a tensor of the type that NumPy names so. */
static double element_of(const char *dtype, const void *data, size_t index) {
    if (strcmp(dtype, "float32") == 0) { return ((const float *)data)[index]; }
    if (strcmp(dtype, "float64") == 0) { return ((const double *)data)[index]; }
    if (strcmp(dtype, "float16") == 0) { return half_value(((const uint16_t *)data)[index]); }
    if (strcmp(dtype, "int8") == 0) { return ((const int8_t *)data)[index]; }
    if (strcmp(dtype, "int16") == 0) { return ((const int16_t *)data)[index]; }
    if (strcmp(dtype, "uint16") == 0) { return ((const uint16_t *)data)[index]; }
    if (strcmp(dtype, "int32") == 0) { return ((const int32_t *)data)[index]; }
    if (strcmp(dtype, "uint32") == 0) { return ((const uint32_t *)data)[index]; }
    if (strcmp(dtype, "int64") == 0) { return (double)((const int64_t *)data)[index]; }
    return ((const uint8_t *)data)[index]; /* uint8, bool */
}

/* The largest difference of an output to what is expected; infinite where one is no number. */
static double largest_difference(const char *dtype, const void *data,
                                 const struct expected_output *expected) {
    double largest = 0;
    for (size_t number = 0; number < expected->count; ++number) {
        double got = element_of(dtype, data, number * expected->step);
        double wanted = expected->values[number];
        if (got == wanted || (isnan(got) && isnan(wanted))) {
            continue;
        }
        double difference = fabs(got - wanted);
        largest = fmax(largest, isnan(difference) ? INFINITY : difference);
    }
    return largest;
}

/* How one frame on so many threads came out. */
struct verdict {
    unsigned threads;
    struct check check;
    const double *differences; /* by output */
};

static int is_within(double difference, const struct expected_output *expected) {
    return difference <= expected->tolerance;
}

static int is_right(const struct program_facts *facts, const struct verdict *verdict) {
    int right = verdict->check.first_wrong < 0;
    for (uint32_t index = 0; index < facts->network->output_count; ++index) {
        right &= is_within(verdict->differences[index], &facts->vector->outputs[index]);
    }
    return right;
}

static struct verdict check_frame(const struct program_facts *facts, const struct frame *frame,
                                  unsigned threads, uint64_t cores) {
    const struct network *network = facts->network;
    double *differences = take_memory(network->output_count * sizeof *differences);
    struct verdict verdict = {threads, {network, facts->vector->digests, 0, -1}, differences};
    uint64_t handle = open_or_refuse(network, threads, cores);
    run_or_refuse(network, handle, frame, compare_call, &verdict.check);
    handle_close(handle);
    for (uint32_t index = 0; index < network->output_count; ++index) {
        differences[index] =
            largest_difference(facts->outputs[index].dtype, frame->outputs[index].data,
                               &facts->vector->outputs[index]);
    }
    return verdict;
}

static void say_verdict(const struct program_facts *facts, const struct verdict *verdict) {
    const struct network *network = facts->network;
    if (verdict->check.first_wrong >= 0) {
        const struct kernel_call *call = &network->calls[verdict->check.first_wrong];
        printf("%u threads: WRONG: call %d, kernel %s, which computes %s, is not bit for bit what "
               "the compiler computed\n",
               verdict->threads, (int)verdict->check.first_wrong, call->name,
               *call->layers == '\0' ? "no named layer" : call->layers);
        return;
    }
    for (uint32_t index = 0; index < network->output_count; ++index) {
        const struct expected_output *expected = &facts->vector->outputs[index];
        double difference = verdict->differences[index];
        if (!is_within(difference, expected)) {
            printf("%u threads: WRONG: output %s differs by %g, and %g is allowed\n",
                   verdict->threads, facts->outputs[index].name, difference, expected->tolerance);
        } else {
            printf("%u threads: right: %u of %u calls bit for bit, output %s within %g (%g is "
                   "allowed)\n",
                   verdict->threads, verdict->check.compared, network->call_count,
                   facts->outputs[index].name, difference, expected->tolerance);
        }
    }
}

/* The first part that is wrong; names as in `compile/check.py --json`. */
static void print_wrong(const struct program_facts *facts, const struct verdict *verdict) {
    int32_t place = verdict->check.first_wrong;
    printf("{\"threads\": %u, \"place\": %d, \"kernel\": ", verdict->threads, (int)place);
    print_text(place < 0 ? "" : facts->network->calls[place].name);
    printf(", \"layers\": ");
    print_list(place < 0 ? "" : facts->network->calls[place].layers);
    printf(", \"what\": ");
    print_text(place < 0 ? "an output differs by more than is allowed" : "its result is wrong");
    putchar('}');
}

static void print_verdict(const struct program_facts *facts, const struct verdict *verdict) {
    printf("{\"threads\": %u, \"right\": %s, \"exact\": %u, \"outputs\": [", verdict->threads,
           is_right(facts, verdict) ? "true" : "false", verdict->check.compared);
    for (uint32_t index = 0; index < facts->network->output_count; ++index) {
        double difference = verdict->differences[index];
        printf("%s{\"name\": ", index == 0 ? "" : ", ");
        print_text(facts->outputs[index].name);
        printf(", \"difference\": ");
        if (isfinite(difference)) {
            printf("%.9g", difference);
        } else {
            printf("null"); /* JSON has no infinity. */
        }
        printf(", \"allowed\": %.9g}", facts->vector->outputs[index].tolerance);
    }
    printf("]}");
}

static void print_verdicts(const struct program_facts *facts, const struct verdict *verdicts,
                           unsigned count) {
    unsigned first_wrong = 0;
    while (first_wrong < count && is_right(facts, &verdicts[first_wrong])) {
        ++first_wrong;
    }
    print_built_from(facts);
    printf(",\n  \"right\": %s,\n  \"calls\": %u,\n  \"frames\": [",
           first_wrong == count ? "true" : "false", facts->network->call_count);
    for (unsigned index = 0; index < count; ++index) {
        fputs(index == 0 ? "\n    " : ",\n    ", stdout);
        print_verdict(facts, &verdicts[index]);
    }
    printf("\n  ],\n  \"wrong\": ");
    if (first_wrong == count) {
        printf("null");
    } else {
        print_wrong(facts, &verdicts[first_wrong]);
    }
    printf("\n}\n");
}

static int check_main(const struct program_facts *facts, const struct options *options) {
    const struct network *network = facts->network;
    struct frame frame = make_frame(network);
    for (uint32_t index = 0; index < network->input_count; ++index) {
        memcpy(frame.inputs[index].data, facts->vector->inputs[index], frame.inputs[index].bytes);
    }
    uint64_t cores = choose_cores(options->cores);
    system_bind(cores);
    unsigned most = system_cores(cores);
    most = most < network->most_threads ? most : network->most_threads;
    unsigned count = options->thread_counts > 0 ? options->thread_counts : most;
    struct verdict *verdicts = take_memory(count * sizeof *verdicts);
    int right = 1;
    for (unsigned index = 0; index < count; ++index) {
        unsigned threads = options->thread_counts > 0 ? options->threads[index] : index + 1;
        verdicts[index] = check_frame(facts, &frame, threads, cores);
        right &= is_right(facts, &verdicts[index]);
    }
    if (options->json) {
        print_verdicts(facts, verdicts, count);
    } else {
        for (unsigned index = 0; index < count; ++index) {
            say_verdict(facts, &verdicts[index]);
        }
    }
    flush_output();
    return right ? 0 : EXIT_WRONG;
}

#endif
