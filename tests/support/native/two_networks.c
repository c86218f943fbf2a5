/* Runs two networks that are linked into one program, each in a thread of its own, and writes the
 * outputs of their last frames to stdout, one after the other. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "mqnet.h"
#include "two.h"

enum { FRAMES = 20 };

static uint8_t image[MQNET_INPUT_0_BYTES];
static uint8_t light[MQNET_OUTPUT_0_BYTES];
static float maps[TWO_INPUT_0_BYTES / sizeof(float)], vector[TWO_INPUT_1_BYTES / sizeof(float)];
static uint8_t scores[TWO_OUTPUT_0_BYTES], means[TWO_OUTPUT_1_BYTES], copy[TWO_OUTPUT_2_BYTES],
    largest[TWO_OUTPUT_3_BYTES];

static void *run_mqnet(void *failed) {
    mqnet_buffer input = {image, sizeof image}, output = {light, sizeof light};
    mqnet_handle handle;
    int status = mqnet_open(NULL, &handle);
    for (int frame = 0; frame < FRAMES && status == MQNET_OK; ++frame) {
        status = mqnet_run(handle, &input, 1, &output, 1);
    }
    *(int *)failed = status != MQNET_OK || mqnet_close(handle) != MQNET_OK;
    return NULL;
}

static void *run_two(void *failed) {
    two_buffer inputs[] = {{maps, sizeof maps}, {vector, sizeof vector}};
    two_buffer outputs[] = {
        {scores, sizeof scores},
        {means, sizeof means},
        {copy, sizeof copy},
        {largest, sizeof largest},
    };
    two_handle handle;
    int status = two_open(NULL, &handle);
    for (int frame = 0; frame < FRAMES && status == TWO_OK; ++frame) {
        status = two_run(handle, inputs, 2, outputs, 4);
    }
    *(int *)failed = status != TWO_OK || two_close(handle) != TWO_OK;
    return NULL;
}

int main(void) {
    for (size_t byte = 0; byte < sizeof image; ++byte) {
        image[byte] = (uint8_t)(byte * 7);
    }
    for (size_t at = 0; at < sizeof maps / sizeof *maps; ++at) {
        maps[at] = (float)(at % 17) / 8 - 1;
    }
    for (size_t at = 0; at < sizeof vector / sizeof *vector; ++at) {
        vector[at] = (float)at / 4;
    }
    int failed[2];
    pthread_t threads[2];
    if (pthread_create(&threads[0], NULL, run_mqnet, &failed[0]) != 0 ||
        pthread_create(&threads[1], NULL, run_two, &failed[1]) != 0) {
        return 3;
    }
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    fwrite(light, 1, sizeof light, stdout);
    fwrite(scores, 1, sizeof scores, stdout);
    fwrite(means, 1, sizeof means, stdout);
    fwrite(copy, 1, sizeof copy, stdout);
    fwrite(largest, 1, sizeof largest, stdout);
    return failed[0] || failed[1];
}
