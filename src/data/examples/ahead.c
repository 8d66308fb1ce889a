#include "data/examples/ahead.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "math/parallel.h"

enum { SLOTS = 16 }; /* packs that wait at most: a few uneven ones do not empty it */

struct slot {
    uint64_t batch; /* first sample of its batch */
    size_t number;  /* of the pack in its batch */
    struct pack pack;
    enum err_code code;
    struct err error;
};

struct ahead {
    struct batcher batcher; /* the thread's, while there is one, and so is what it reads into: */
    struct pack pack;
    struct arena arena;
    bool running;
    pthread_t thread;
    size_t next;          /* packs before this one of the batch were taken or dropped */
    pthread_mutex_t lock; /* over what follows */
    pthread_cond_t filled, freed;
    struct slot slots[SLOTS];
    size_t first, count;       /* of the slots that wait, in a ring */
    uint64_t batch, batch_end; /* that is taken from */
    bool quit, ended;
};

enum err_code ahead_open(struct ahead **out, const struct dataset *d, const struct loader_options *options,
                         struct err *e)
{
    struct ahead *a = *out = calloc(1, sizeof *a);
    if (!a)
        return err_set(e, ERR_MEMORY, "not enough memory to read ahead");
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->filled, NULL);
    pthread_cond_init(&a->freed, NULL);
    enum err_code code = batcher_open(&a->batcher, d, options, e);
    if (!code)
        code = batcher_make_pack(&a->pack, &a->batcher, &a->arena, e);
    for (size_t i = 0; i < SLOTS && !code; i++)
        code = batcher_make_pack(&a->slots[i].pack, &a->batcher, &a->arena, e);
    if (code) {
        ahead_close(a);
        *out = NULL;
    }
    return code;
}

static void swap_packs(struct pack *a, struct pack *b)
{
    struct pack kept = *a;
    *a = *b;
    *b = kept;
}

/* Puts what was read into the ring; false when there is no more to do. */
static bool put(struct ahead *a, size_t number, enum err_code code, const struct err *error)
{
    pthread_mutex_lock(&a->lock);
    while (a->count == SLOTS && !a->quit)
        pthread_cond_wait(&a->freed, &a->lock);
    bool go_on = !a->quit;
    if (go_on) {
        struct slot *s = &a->slots[(a->first + a->count++) % SLOTS];
        s->batch = a->batcher.first;
        s->number = number;
        s->code = code;
        if (code)
            s->error = *error;
        swap_packs(&s->pack, &a->pack);
        pthread_cond_signal(&a->filled);
    }
    pthread_mutex_unlock(&a->lock);
    return go_on;
}

/* The batch that is taken from and the next one are read, not more: a rank that owns no packs would never
 * stop. */
static bool wait_for_turn(struct ahead *a)
{
    pthread_mutex_lock(&a->lock);
    while (a->batcher.cursor > a->batch_end && !a->quit)
        pthread_cond_wait(&a->freed, &a->lock);
    bool go_on = !a->quit;
    pthread_mutex_unlock(&a->lock);
    return go_on;
}

static void *work(void *context)
{
    struct ahead *a = context;
    struct batcher *b = &a->batcher;
    struct err error;
    const uint64_t end = b->options.end;
    bool go_on = true;
    parallel_roam();
    while (go_on && !(end && b->cursor >= end) && wait_for_turn(a) && !batcher_next(b, &error))
        for (size_t number = b->pack_begin; number < b->pack_end && go_on; number++) {
            enum err_code code = batcher_read(&a->pack, b, number, &error);
            go_on = put(a, number, code, &error);
        }
    pthread_mutex_lock(&a->lock);
    a->ended = true;
    pthread_cond_signal(&a->filled);
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

static void stop(struct ahead *a)
{
    if (!a->running)
        return;
    pthread_mutex_lock(&a->lock);
    a->quit = true;
    pthread_cond_signal(&a->freed);
    pthread_mutex_unlock(&a->lock);
    pthread_join(a->thread, NULL);
    a->running = false;
}

void ahead_follow(struct ahead *a, uint64_t cursor, uint64_t end)
{
    a->next = 0;
    pthread_mutex_lock(&a->lock);
    bool on_its_way = a->running && cursor == a->batch_end;
    if (on_its_way) {
        a->batch = cursor;
        a->batch_end = end;
        pthread_cond_signal(&a->freed);
    }
    pthread_mutex_unlock(&a->lock);
    if (on_its_way)
        return;
    stop(a);
    a->batch = cursor;
    a->batch_end = end;
    a->batcher.cursor = cursor;
    a->first = a->count = 0;
    a->quit = a->ended = false;
    a->running = pthread_create(&a->thread, NULL, work, a) == 0;
}

bool ahead_take(struct ahead *a, size_t number, struct pack *pack, enum err_code *code, struct err *e)
{
    bool found = false;
    if (!a->running || number < a->next)
        return false;
    pthread_mutex_lock(&a->lock);
    while (!found) {
        while (!a->count && !a->ended)
            pthread_cond_wait(&a->filled, &a->lock);
        if (!a->count)
            break;
        struct slot *s = &a->slots[a->first];
        found = s->batch == a->batch && s->number == number;
        if (found) {
            swap_packs(&s->pack, pack);
            *code = s->code;
            if (s->code)
                *e = s->error;
        }
        a->first = (a->first + 1) % SLOTS;
        a->count--;
        pthread_cond_signal(&a->freed);
    }
    pthread_mutex_unlock(&a->lock);
    a->next = number + 1;
    return found;
}

void ahead_close(struct ahead *a)
{
    if (!a)
        return;
    stop(a);
    batcher_close(&a->batcher);
    arena_release(&a->arena);
    pthread_cond_destroy(&a->freed);
    pthread_cond_destroy(&a->filled);
    pthread_mutex_destroy(&a->lock);
    free(a);
}
