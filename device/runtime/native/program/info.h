/* info: what the program was built from, and whether it runs here. */
#ifndef NATIVE_PROGRAM_INFO_H
#define NATIVE_PROGRAM_INFO_H

#include "facts.h"
#include "handles.h"
#include "json.h"
#include "options.h"

static void print_tensors(const char *role, const struct tensor_facts *tensors, uint32_t count,
                          int json) {
    if (json) {
        printf(",\n  \"%ss\": [", role);
    }
    for (uint32_t index = 0; index < count; ++index) {
        const struct tensor_facts *tensor = &tensors[index];
        if (json) {
            printf("%s\n    {\"name\": ", index == 0 ? "" : ",");
            print_text(tensor->name);
            printf(", \"dtype\": \"%s\", \"layout\": \"%s\", \"shape\": [", tensor->dtype,
                   tensor->layout);
        } else {
            printf("%-9s %s, %s [", role, tensor->name, tensor->dtype);
        }
        for (uint32_t dimension = 0; dimension < tensor->rank; ++dimension) {
            printf("%s%lld", dimension == 0 ? "" : ", ", (long long)tensor->shape[dimension]);
        }
        if (json) {
            printf("]}");
        } else {
            printf("]%s%s\n", *tensor->layout == '\0' ? "" : ", ", tensor->layout);
        }
    }
    if (json) {
        printf("\n  ]");
    }
}

static int info_main(const struct program_facts *facts, const struct options *options) {
    const struct network *network = facts->network;
    if (options->json) {
        print_built_from(facts);
        printf(",\n  \"threads\": %u,\n  \"calls\": %u,\n  \"weight_bytes\": %zu,\n"
               "  \"activation_bytes\": %zu,\n  \"features\": [",
               network->most_threads, network->call_count, facts->weight_bytes,
               network->arena_bytes);
        for (uint32_t index = 0; index < network->feature_count; ++index) {
            printf("%s\"%s\"", index == 0 ? "" : ", ", network->features[index].name);
        }
        printf("]");
    } else {
        printf("network   %s, scheme %s\n", facts->title, facts->scheme);
        printf("target    %s, %u threads at most\n", facts->target, network->most_threads);
        printf("a frame   %u kernel calls, %zu bytes of weights, %zu bytes between kernels\n",
               network->call_count, facts->weight_bytes, network->arena_bytes);
    }
    print_tensors("input", facts->inputs, network->input_count, options->json);
    print_tensors("output", facts->outputs, network->output_count, options->json);
    if (options->json) {
        printf("\n}\n");
    }
    flush_output();
    return 0;
}

#endif
