/* Uses the runtime as programs do, rightly and wrongly. Prints the line of what is not as it should
 * be and ends with 1. Arguments: frames, and threads of a handle. */
#include <stdio.h>
#include <stdlib.h>

#include "small_network.h"

enum { HANDLES = 4 };

#define EXPECT(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition); \
            exit(1); \
        } \
    } while (0)

struct caller {
    uint64_t handle;
    int frames;
    int number;
};

static int run(uint64_t handle, void *input, void *first, void *second) {
    size_t bytes = small_input_bytes[0];
    frame_buffer inputs[] = {{input, bytes}}, outputs[] = {{first, bytes}, {second, bytes}};
    return handle_run(&small_network, handle, inputs, 1, outputs, 2, NULL, NULL);
}

/* Frames of other values each; every second one from and to where nothing is aligned. */
static void *call_often(void *argument) {
    struct caller *caller = argument;
    _Alignas(64) int32_t input[ELEMENTS + 1], first[ELEMENTS + 1], second[ELEMENTS + 1];
    for (int frame = 0; frame < caller->frames; ++frame) {
        int offset = frame & 1;
        for (int element = 0; element < ELEMENTS; ++element) {
            input[offset + element] = frame * 3 + element + caller->number;
        }
        EXPECT(run(caller->handle, input + offset, first + offset, second + offset) == STATUS_OK);
        for (int element = 0; element < ELEMENTS; ++element) {
            EXPECT(first[offset + element] == expected_of(input[offset + element]));
            EXPECT(second[offset + element] == input[offset + element]);
        }
    }
    return NULL;
}

static void call_from_threads(int frames, unsigned threads) {
    struct caller callers[HANDLES];
    pthread_t running[HANDLES];
    for (int number = 0; number < HANDLES; ++number) {
        callers[number] = (struct caller){0, frames, number};
        EXPECT(handle_open(&small_network, threads, 0, &callers[number].handle) == STATUS_OK);
        EXPECT(callers[number].handle != 0);
        EXPECT(pthread_create(&running[number], NULL, call_often, &callers[number]) == 0);
    }
    for (int number = 0; number < HANDLES; ++number) {
        pthread_join(running[number], NULL);
        EXPECT(handle_close(callers[number].handle) == STATUS_OK);
    }
}

/* Closed handles stay closed, also when their place is taken again. */
static void use_wrong_handles(void) {
    int32_t values[ELEMENTS] = {0}, first[ELEMENTS], second[ELEMENTS];
    uint64_t handle, later;
    EXPECT(run(0, values, first, second) == STATUS_HANDLE);
    EXPECT(run(UINT64_MAX, values, first, second) == STATUS_HANDLE);
    EXPECT(handle_open(&small_network, 1, 0, &handle) == STATUS_OK);
    EXPECT(handle_close(handle) == STATUS_OK);
    EXPECT(handle_close(handle) == STATUS_HANDLE);
    EXPECT(handle_open(&small_network, 1, 0, &later) == STATUS_OK);
    EXPECT(run(handle, values, first, second) == STATUS_HANDLE);
    EXPECT(*handle_error(handle) != '\0');
    EXPECT(run(later, values, first, second) == STATUS_OK);
    EXPECT(handle_close(later) == STATUS_OK);
}

static void open_too_much(void) {
    uint64_t handles[MOST_HANDLES], one_more;
    for (int index = 0; index < MOST_HANDLES; ++index) {
        EXPECT(handle_open(&small_network, 1, 0, &handles[index]) == STATUS_OK);
    }
    EXPECT(handle_open(&small_network, 1, 0, &one_more) == STATUS_HANDLES && one_more == 0);
    for (int index = 0; index < MOST_HANDLES; ++index) {
        EXPECT(handle_close(handles[index]) == STATUS_OK);
    }
    EXPECT(handle_open(&small_network, 9, 0, &one_more) == STATUS_THREADS && one_more == 0);
    EXPECT(handle_open(&small_network, system_cores(0) + 1, 0, &one_more) == STATUS_THREADS);
    /* Core 63 of a machine that has fewer. */
    if (system_cores(1ull << 63) == 0) {
        EXPECT(handle_open(&small_network, 1, 1ull << 63, &one_more) == STATUS_THREADS);
    }
    struct network huge = small_network;
    huge.arena_bytes = (size_t)1 << 62;
    EXPECT(handle_open(&huge, 1, 0, &one_more) == STATUS_MEMORY && one_more == 0);
    /* And the next one works. */
    EXPECT(handle_open(&small_network, 1, 0, &one_more) == STATUS_OK);
    EXPECT(handle_close(one_more) == STATUS_OK);
}

static void give_wrong_buffers(void) {
    int32_t values[ELEMENTS] = {0}, first[ELEMENTS], second[ELEMENTS];
    size_t bytes = sizeof values;
    frame_buffer inputs[] = {{values, bytes}}, outputs[] = {{first, bytes}, {second, bytes}};
    uint64_t handle;
    EXPECT(handle_open(&small_network, 1, 0, &handle) == STATUS_OK);
    EXPECT(handle_run(&small_network, handle, NULL, 1, outputs, 2, NULL, NULL) ==
           STATUS_ARGUMENT);
    EXPECT(handle_run(&small_network, handle, inputs, 0, outputs, 2, NULL, NULL) == STATUS_SIZE);
    EXPECT(handle_run(&small_network, handle, inputs, 1, outputs, 1, NULL, NULL) == STATUS_SIZE);
    inputs[0].bytes -= 1;
    EXPECT(handle_run(&small_network, handle, inputs, 1, outputs, 2, NULL, NULL) == STATUS_SIZE);
    inputs[0].bytes = bytes;
    outputs[1].data = NULL;
    EXPECT(handle_run(&small_network, handle, inputs, 1, outputs, 2, NULL, NULL) ==
           STATUS_ARGUMENT);
    EXPECT(run(handle, values, first, second) == STATUS_OK);
    EXPECT(handle_close(handle) == STATUS_OK);
}

/* A kernel that fails names itself, once, and leaves the handle as it was. */
static void let_kernels_fail(unsigned threads) {
    int32_t values[ELEMENTS] = {FAIL}, first[ELEMENTS], second[ELEMENTS];
    uint64_t handle;
    EXPECT(handle_open(&small_network, threads, 0, &handle) == STATUS_OK);
    EXPECT(run(handle, values, first, second) == STATUS_KERNEL);
    EXPECT(strcmp(handle_error(handle), "kernel scale failed") == 0);
    values[0] = 0;
    EXPECT(run(handle, values, first, second) == STATUS_OK);
    EXPECT(*handle_error(handle) == '\0');
    EXPECT(first[5] == expected_of(values[5]));
    EXPECT(handle_close(handle) == STATUS_OK);

    struct network wrong = small_network;
    int64_t shapes[] = {ELEMENTS + 1, 1};
    wrong.shapes = shapes;
    EXPECT(handle_open(&wrong, threads, 0, &handle) == STATUS_OK);
    frame_buffer inputs[] = {{values, sizeof values}};
    frame_buffer outputs[] = {{first, sizeof first}, {second, sizeof second}};
    EXPECT(handle_run(&wrong, handle, inputs, 1, outputs, 2, NULL, NULL) == STATUS_KERNEL);
    EXPECT(strcmp(handle_error(handle), "shape of shift") == 0);
    EXPECT(handle_close(handle) == STATUS_OK);

    wrong = small_network;
    wrong.workspace_bytes = 256;
    EXPECT(handle_open(&wrong, threads, 0, &handle) == STATUS_OK);
    EXPECT(handle_run(&wrong, handle, inputs, 1, outputs, 2, NULL, NULL) == STATUS_KERNEL);
    EXPECT(strstr(handle_error(handle), "scratch memory") != NULL);
    EXPECT(handle_close(handle) == STATUS_OK);
}

static void run_while_it_runs(void *self, struct instance *instance, uint32_t call) {
    (void)instance, (void)call;
    int32_t values[ELEMENTS] = {0}, first[ELEMENTS], second[ELEMENTS];
    uint64_t handle = *(uint64_t *)self;
    EXPECT(run(handle, values, first, second) == STATUS_BUSY);
    EXPECT(handle_close(handle) == STATUS_BUSY);
    /* Another handle may run inside, with a context of its own. */
    uint64_t other;
    EXPECT(handle_open(&small_network, 1, 0, &other) == STATUS_OK);
    EXPECT(run(other, values, first, second) == STATUS_OK);
    EXPECT(handle_close(other) == STATUS_OK);
}

static void use_one_twice(void) {
    int32_t values[ELEMENTS] = {0}, first[ELEMENTS], second[ELEMENTS];
    frame_buffer inputs[] = {{values, sizeof values}};
    frame_buffer outputs[] = {{first, sizeof first}, {second, sizeof second}};
    uint64_t handle;
    EXPECT(handle_open(&small_network, 1, 0, &handle) == STATUS_OK);
    EXPECT(handle_run(&small_network, handle, inputs, 1, outputs, 2, run_while_it_runs, &handle) ==
           STATUS_OK);
    EXPECT(first[1] == expected_of(0));
    EXPECT(handle_close(handle) == STATUS_OK);
}

static void lack_a_feature(void) {
    struct processor_feature features[] = {{"unheard_of", 0, 0, 0, 31, 0}};
#if defined(__x86_64__)
    features[0] = (struct processor_feature){"unheard_of", 7, 0, 0, 31, 0x80000000u};
#endif
    struct network newer = small_network;
    newer.features = features;
    newer.feature_count = 1;
    uint64_t handle;
    EXPECT(handle_open(&newer, 1, 0, &handle) == STATUS_PROCESSOR && handle == 0);
    EXPECT(strcmp(missing_feature(&newer), "unheard_of") == 0);
    EXPECT(missing_feature(&small_network) == NULL);
}

int main(int argc, char **argv) {
    EXPECT(argc == 3);
    int frames = atoi(argv[1]);
    unsigned threads = (unsigned)atoi(argv[2]);
    use_wrong_handles();
    open_too_much();
    give_wrong_buffers();
    let_kernels_fail(1);
    let_kernels_fail(threads);
    use_one_twice();
    lack_a_feature();
    for (int status = STATUS_OK; status <= STATUS_KERNEL; ++status) {
        EXPECT(strcmp(status_text(status), status_text(-1)) != 0);
    }
    call_from_threads(frames, threads);
    puts("all is as it should be");
    return 0;
}
