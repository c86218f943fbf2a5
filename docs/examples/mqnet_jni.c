/* What Mqnet.kt calls. It needs no C library, so it is compiled for Android without the NDK. */
#include <jni.h>

#include "mqnet.h"

/* Throws where something failed. */
static void check(JNIEnv *env, int status) {
    if (status != MQNET_OK) {
        jclass type = (*env)->FindClass(env, "java/lang/IllegalStateException");
        (*env)->ThrowNew(env, type, mqnet_status_text(status));
    }
}

static mqnet_buffer buffer_of(JNIEnv *env, jobject buffer) {
    jlong bytes = (*env)->GetDirectBufferCapacity(env, buffer); /* -1: not direct */
    return (mqnet_buffer){(*env)->GetDirectBufferAddress(env, buffer), bytes < 0 ? 0 : bytes};
}

JNIEXPORT jlong JNICALL Java_Mqnet_open(JNIEnv *env, jobject self, jint threads) {
    (void)self;
    mqnet_options options = {sizeof options, threads, 0, 0};
    mqnet_handle handle = 0;
    check(env, mqnet_open(&options, &handle));
    return (jlong)handle;
}

JNIEXPORT void JNICALL Java_Mqnet_run(JNIEnv *env, jobject self, jlong handle, jobject image,
                                      jobject light) {
    (void)self;
    mqnet_buffer input = buffer_of(env, image), output = buffer_of(env, light);
    check(env, mqnet_run((mqnet_handle)handle, &input, 1, &output, 1));
}

JNIEXPORT void JNICALL Java_Mqnet_close(JNIEnv *env, jobject self, jlong handle) {
    (void)self;
    check(env, mqnet_close((mqnet_handle)handle));
}
