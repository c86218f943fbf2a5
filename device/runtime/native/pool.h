/* Threads that share the parallel loops of kernels.
 *
 * A loop is a number of tasks. Whoever is free takes the next one, the calling thread too, so a
 * thread that the system has put aside holds up nothing. One word says which loop it is, how many
 * tasks it has and how many are taken: a thread that comes late cannot take a task of another loop
 * than it sees. Between loops threads spin for a moment, since the next one comes soon, and then
 * sleep: between frames they cost nothing. With one thread no call of the system is made at all. */
#ifndef NATIVE_POOL_H
#define NATIVE_POOL_H

#include <pthread.h>

#include "kernel_abi.h"
#include "system.h"

enum { SPINS_OF_WORKER = 4000, SPINS_OF_CALLER = 20000, TASK_BITS = 16, TASK_MASK = 0xffff };

struct thread_context;

struct pool {
    _Alignas(64) atomic_ullong ticket; /* loop << 32 | tasks << 16 | tasks that are taken */
    abi_task task;
    void *closure;
    uint64_t core_mask;
    uint32_t threads; /* the calling one included */
    uint32_t started;
    _Alignas(64) atomic_uint left; /* tasks that are not done */
    atomic_uint failed;
    atomic_uint caller_sleeps;
    _Alignas(64) atomic_uint alarm; /* counts the times that sleeping threads were woken */
    atomic_uint sleepers;
    atomic_uint is_closing;
};

struct worker {
    struct pool *pool;
    struct thread_context *context;
    pthread_t thread;
};

static int pool_has_tasks(unsigned long long ticket) {
    return (ticket & TASK_MASK) < (ticket >> TASK_BITS & TASK_MASK);
}

/* Takes a task of the loop that is under way; its number, or -1 where none is left. `tasks` is how
 * many the loop has. */
static int pool_take(struct pool *pool, int32_t *tasks) {
    unsigned long long ticket = atomic_load_explicit(&pool->ticket, memory_order_acquire);
    for (;;) {
        if (!pool_has_tasks(ticket)) {
            return -1;
        }
        *tasks = (int32_t)(ticket >> TASK_BITS & TASK_MASK);
        if (atomic_compare_exchange_weak_explicit(&pool->ticket, &ticket, ticket + 1,
                                                  memory_order_acq_rel, memory_order_acquire)) {
            return (int)(ticket & TASK_MASK);
        }
    }
}

/* Works at the loop until all of its tasks are taken. */
static void pool_work(struct pool *pool) {
    struct abi_group group = {NULL, 0};
    int number;
    while ((number = pool_take(pool, &group.tasks)) >= 0) {
        /* The loop cannot end before this task has, so these two are its own. */
        if (pool->task(number, &group, pool->closure) != 0) {
            atomic_store(&pool->failed, 1);
        }
        if (atomic_fetch_sub(&pool->left, 1) == 1 && atomic_load(&pool->caller_sleeps)) {
            system_wake(&pool->left);
        }
    }
}

static void pool_sleep(struct pool *pool) {
    unsigned alarm = atomic_load(&pool->alarm);
    atomic_fetch_add(&pool->sleepers, 1);
    /* Whoever publishes a loop looks for sleepers behind that: one of the two sees the other. */
    if (!pool_has_tasks(atomic_load(&pool->ticket)) && !atomic_load(&pool->is_closing)) {
        system_wait(&pool->alarm, alarm);
    }
    atomic_fetch_sub(&pool->sleepers, 1);
}

/* Wakes all threads that sleep. */
static void pool_alarm(struct pool *pool) {
    if (atomic_load(&pool->sleepers) != 0) {
        atomic_fetch_add(&pool->alarm, 1);
        system_wake(&pool->alarm);
    }
}

static void pool_serve(struct pool *pool) {
    system_bind(pool->core_mask);
    while (!atomic_load(&pool->is_closing)) {
        int spins = 0;
        while (!pool_has_tasks(atomic_load_explicit(&pool->ticket, memory_order_acquire)) &&
               spins < SPINS_OF_WORKER && !atomic_load(&pool->is_closing)) {
            system_relax();
            ++spins;
        }
        if (spins < SPINS_OF_WORKER) {
            pool_work(pool);
        } else {
            pool_sleep(pool);
        }
    }
}

/* Runs `task` for the numbers below `tasks`; 0 for as many as there are threads. Returns 0, or -1
 * where one of them failed. */
static int pool_launch(struct pool *pool, abi_task task, void *closure, int tasks) {
    unsigned count = tasks > 0 ? (unsigned)tasks : pool->threads;
    if (pool->threads == 1 || count == 1) {
        struct abi_group group = {NULL, (int32_t)count};
        for (unsigned number = 0; number < count; ++number) {
            if (task((int)number, &group, closure) != 0) {
                return -1;
            }
        }
        return 0;
    }
    if (count > TASK_MASK) {
        return -1;
    }
    pool->task = task;
    pool->closure = closure;
    atomic_store(&pool->failed, 0);
    atomic_store(&pool->left, count);
    unsigned long long loop = (atomic_load(&pool->ticket) >> 32) + 1;
    atomic_store(&pool->ticket, loop << 32 | (unsigned long long)count << TASK_BITS);
    pool_alarm(pool);
    pool_work(pool);
    int spins = 0;
    unsigned left;
    while ((left = atomic_load_explicit(&pool->left, memory_order_acquire)) != 0) {
        if (++spins < SPINS_OF_CALLER) {
            system_relax();
            continue;
        }
        atomic_store(&pool->caller_sleeps, 1);
        left = atomic_load(&pool->left);
        if (left != 0) {
            system_wait(&pool->left, left);
        }
        atomic_store(&pool->caller_sleeps, 0);
    }
    return atomic_load(&pool->failed) ? -1 : 0;
}

/* Ends the threads that were started. */
static void pool_close(struct pool *pool, struct worker *workers) {
    atomic_store(&pool->is_closing, 1);
    atomic_fetch_add(&pool->alarm, 1);
    system_wake(&pool->alarm);
    for (uint32_t index = 0; index < pool->started; ++index) {
        pthread_join(workers[index].thread, NULL);
    }
}

#endif
