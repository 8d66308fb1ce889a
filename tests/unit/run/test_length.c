/* How many steps a run has: by epochs, by steps, by both; from its start, and where the size of its batches changed. */
#include "unit.h"

#include "run/length.h"

static void from_the_start(void **state)
{
    (void)state;
    static const struct {
        uint64_t examples, batch_size;
        double epochs;
        int64_t max_steps;
        uint64_t steps;
    } rows[] = {{37, 10, 0, 0, 4},   {37, 10, 1, 0, 4},     {37, 10, 2, 0, 8},   {37, 10, 0.5, 0, 2},
                {37, 10, 0.3, 0, 2}, {37, 10, 0, 100, 100}, {37, 10, 2, 100, 8}, {37, 10, 2, 5, 5},
                {40, 10, 1.5, 0, 6}, {1, 1000, 0, 0, 1},    {10, 1, 0.7, 0, 7},  {37, 10, 1e-9, 0, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct length l = {.examples = rows[i].examples, .batch_size = rows[i].batch_size};
        assert_int_equal(length_steps(&l, rows[i].epochs, rows[i].max_steps), rows[i].steps);
    }
}

static void on_the_way(void **state)
{
    (void)state;
    static const struct {
        uint64_t batch_size, step, cursor;
        double epochs;
        uint64_t steps;
    } rows[] = {{10, 2, 20, 1, 4},  {10, 4, 37, 1, 4},  {10, 6, 57, 2, 8}, /* as planned at the start */
                {20, 4, 37, 2, 6},  {5, 6, 74, 3, 14}, /* batches of another size from the next epoch on */
                {20, 2, 20, 1, 3},  {5, 2, 20, 1, 6},  /* and in this one */
                {10, 9, 84, 1, 9}}; /* fewer epochs than are done */
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct length l = {37, rows[i].batch_size, rows[i].step, rows[i].cursor};
        assert_int_equal(length_steps(&l, rows[i].epochs, 0), rows[i].steps);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(from_the_start),
        cmocka_unit_test(on_the_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
