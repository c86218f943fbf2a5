/* What a program of Android's asks of its C library and glibc has not. */
#include <stdlib.h>

void __libc_init(void *arguments, void (*on_exit)(void), int (*start)(int, char **, char **),
                 const void *structors) {
    (void)on_exit, (void)structors;
    long count = *(long *)arguments;
    char **texts = (char **)arguments + 1;
    exit(start((int)count, texts, texts + count + 1));
}
