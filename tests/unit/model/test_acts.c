/*
 * The slots of a step's memory: aligned, apart, and each with a red zone after it, so that AddressSanitizer finds a
 * write past its end. Where the build has no AddressSanitizer, the tests of red zones are skipped.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "base/redzone.h"
#include "tiny_model.h"

#include "../../../src/model/acts.h"

enum { SLOTS = 128 };

struct slot {
    const char *name;
    char *at;
    size_t bytes;
};

static struct tiny t;
static struct slot slots[SLOTS];
static size_t count;

static void add(const char *name, void *at, size_t bytes)
{
    assert_true(count < SLOTS);
    if (at)
        slots[count++] = (struct slot){name, at, bytes};
}

#define real void

/* A step's slots and those of the last layer, which keeps what backward needs. */
static void list_slots(const struct acts *a)
{
    const struct acts_size *s = &a->size;
    const struct acts_kind *k = &s->kinds[s->kind_of[s->layers - 1]];
    const struct acts_layer *layer = &a->layers[s->layers - 1];
    count = 0;
#define ACT_LAYER(when, name, type, rows, columns)                                                           \
    add(#name, layer->name, (size_t)(rows) * (size_t)(columns)*ACTS_SIZE_OF(s, type));
#define ACT_STEP(when, name, type, rows, columns)                                                            \
    add(#name, a->name, (size_t)(rows) * (size_t)(columns)*ACTS_SIZE_OF(s, type));
#include "../../../src/model/acts.def"
#undef ACT_LAYER
#undef ACT_STEP
}
#undef real

static void open_slots(enum dtype type, enum model_recompute recompute)
{
    tiny_open_as(&t, "tiny_gqa", type);
    t.lora.dropout = 0.1;
    tiny_plan_with(&t, recompute);
    list_slots(t.model.acts);
    assert_true(count > 30);
}

static void slots_are_aligned_and_apart(void **state)
{
    (void)state;
    for (int mode = RECOMPUTE_NONE; mode <= RECOMPUTE_LAYER; mode++) {
        open_slots(mode % 2 ? DTYPE_BF16 : DTYPE_F32, (enum model_recompute)mode);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal((uintptr_t)slots[i].at % ARENA_ALIGN, 0);
            for (size_t k = 0; k < count; k++)
                if (i != k && slots[i].at < slots[k].at + slots[k].bytes + RED_ZONE &&
                    slots[k].at < slots[i].at + slots[i].bytes + RED_ZONE && slots[i].bytes)
                    fail_msg("%s lies on %s", slots[i].name, slots[k].name);
        }
        tiny_close(&t);
    }
}

#ifdef RED_ZONES

static void a_red_zone_follows_each_slot(void **state)
{
    (void)state;
    for (int mode = RECOMPUTE_NONE; mode <= RECOMPUTE_LAYER; mode++) {
        open_slots(mode % 2 ? DTYPE_BF16 : DTYPE_F32, (enum model_recompute)mode);
        for (size_t i = 0; i < count; i++) {
            char *end = slots[i].at + slots[i].bytes;
            if (__asan_region_is_poisoned(slots[i].at, slots[i].bytes))
                fail_msg("%s may not be touched", slots[i].name);
            for (size_t k = 0; k < RED_ZONE; k++)
                if (!__asan_address_is_poisoned(end + k))
                    fail_msg("a write %zu bytes past %s is not found", k, slots[i].name);
        }
        tiny_close(&t);
    }
}

static void a_write_past_a_slot_ends_the_program(void **state)
{
    (void)state;
    open_slots(DTYPE_F32, RECOMPUTE_NONE);
    size_t one = count / 2;
    while (!slots[one].bytes) /* what this model does not need is empty */
        one++;
    for (int past = 0; past < 2; past++) {
        int status;
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            volatile char *at = slots[one].at + slots[one].bytes - 1 + past;
            if (!freopen("/dev/null", "w", stderr))
                _exit(3);
            *at = 1;
            _exit(0);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true((WIFEXITED(status) && WEXITSTATUS(status) == 0) == !past);
    }
    tiny_close(&t);
}

#else

static void a_red_zone_follows_each_slot(void **state)
{
    (void)state;
    skip(); /* needs AddressSanitizer: cmake -DMPILORA_SANITIZE=ON */
}

static void a_write_past_a_slot_ends_the_program(void **state)
{
    (void)state;
    skip(); /* likewise */
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_are_aligned_and_apart),
        cmocka_unit_test(a_red_zone_follows_each_slot),
        cmocka_unit_test(a_write_past_a_slot_ends_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
