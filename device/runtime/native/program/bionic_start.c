/* Starts the program on Android, in place of the NDK's crtbegin.o: the loader has run the
 * initializers already, and bionic calls main and ends the process. */
#include <stddef.h>

struct structors {
    void (**preinit)(void);
    void (**init)(void);
    void (**fini)(void);
};

typedef int main_function(int argc, char **argv, char **environment);

extern void __libc_init(void *arguments, void (*on_exit)(void), main_function *start,
                        const struct structors *structors) __attribute__((noreturn));

int main(int argc, char **argv);

static int call_main(int argc, char **argv, char **environment) {
    (void)environment;
    return main(argc, argv);
}

/* `arguments` is where the stack was when the process began: their number, and then they. */
__attribute__((used, noreturn, visibility("hidden"))) void bionic_start(void *arguments) {
    static const struct structors none = {NULL, NULL, NULL};
    __libc_init(arguments, NULL, call_main, &none);
}

__asm__(".globl _start\n"
        ".type _start, %function\n"
        "_start:\n"
        "    mov x29, #0\n"
        "    mov x30, #0\n"
        "    mov x0, sp\n"
        "    b bionic_start\n");
