/* What a run was computed on: written, read back, listed where it changes, and told to people. */
#include "unit.h"

#include <stdlib.h>

#include "base/file.h"
#include "run/machine.h"
#include "run/metrics.h"
#include "scratch.h"

SCRATCH_OF_GROUP(place, open_place, close_place)

static const struct machine_processor kinds[] = {{"EPYC \"7543\"", 2, 4}, {"Xeon 8352Y", 1, 1}};
static const struct machine two_kinds = {.processors = kinds,
                                         .count = 2,
                                         .ranks = 5,
                                         .threads = 3,
                                         .dtype = "f32",
                                         .kernels = "avx2",
                                         .products = "oneDNN 2.6.3",
                                         .mpi = "Open MPI 4.1.4",
                                         .hdf5 = "1.10.8",
                                         .program = "9.9.9 (commit 012)"};
#define TWO_KINDS                                                                                                      \
    "{\"processors\": [{\"name\": \"EPYC \\\"7543\\\"\", \"hosts\": 2, \"ranks\": 4}, "                                \
    "{\"name\": \"Xeon 8352Y\", \"hosts\": 1, \"ranks\": 1}], \"ranks\": 5, \"threads\": 3, \"dtype\": \"f32\", "     \
    "\"kernels\": \"avx2\", \"products\": \"oneDNN 2.6.3\", \"mpi\": \"Open MPI 4.1.4\", \"hdf5\": \"1.10.8\", "       \
    "\"mpilora\": \"9.9.9 (commit 012)\"}"

static struct machine machine_of(struct arena *a, const char *line, bool expected)
{
    struct machine m;
    struct json *doc;
    struct err e;
    bool found;
    assert_ok(json_open_bytes(&doc, line, strlen(line), "line", &e), &e);
    assert_ok(machine_read(&m, &found, json_root(doc), a, &e), &e);
    assert_int_equal(found, expected);
    json_close(doc);
    return m;
}

static void a_record_reads_back(void **state)
{
    (void)state;
    struct str text = {0};
    struct arena a = {0};
    struct err e;
    assert_ok(machine_append(&text, &two_kinds, &e), &e);
    assert_string_equal(text.data, TWO_KINDS);
    struct machine m = machine_of(&a, "{\"step\": 1, \"machine\": " TWO_KINDS "}", true);
    assert_true(machine_equals(&m, &two_kinds));
    m.threads = 4;
    assert_false(machine_equals(&m, &two_kinds));
    m.threads = 3;
    m.mpi = "MPICH 4.0.2";
    assert_false(machine_equals(&m, &two_kinds));
    m.mpi = two_kinds.mpi;
    m.count = 1;
    assert_false(machine_equals(&m, &two_kinds));
    str_release(&text);
    arena_release(&a);
}

/* Runs of other versions: what is missing or is something else is not known, and no error. */
static void strange_records_say_little(void **state)
{
    (void)state;
    struct arena a = {0};
    struct str text = {0};
    struct err e;
    machine_of(&a, "{\"step\": 1}", false);
    machine_of(&a, "{\"step\": 1, \"machine\": \"a big one\"}", false);
    machine_of(&a, "[]", false);
    const struct machine m = machine_of(
        &a, "{\"machine\": {\"ranks\": -1, \"threads\": \"x\", \"mpi\": 3, \"hdf5\": \"1\", \"processors\": [7, {}, "
            "{\"name\": \"one\", \"hosts\": 1.5}], \"later\": [1]}}",
        true);
    assert_int_equal(m.ranks, 0);
    assert_int_equal(m.threads, 0);
    assert_string_equal(m.mpi, "");
    assert_string_equal(m.hdf5, "1");
    assert_int_equal(m.count, 1);
    assert_string_equal(m.processors[0].name, "one");
    for (size_t i = 0; i < MACHINE_FACTS; i++)
        assert_ok(machine_append_fact(&text, &m, i, &e), &e);
    assert_string_equal(text.data, "one1");
    str_release(&text);
    arena_release(&a);
}

static void people_read_its_facts(void **state)
{
    (void)state;
    struct str text = {0};
    struct err e;
    for (size_t i = 0; i < MACHINE_FACTS; i++) {
        assert_ok(str_appendf(&text, &e, "%s=", machine_fact_name(i)), &e);
        assert_ok(machine_append_fact(&text, &two_kinds, i, &e), &e);
        assert_ok(str_append(&text, ";", 1, &e), &e);
    }
    assert_string_equal(text.data,
                        "Processor=EPYC \"7543\" (4 ranks on 2 hosts), Xeon 8352Y (1 rank on 1 host);Hosts=3;Ranks=5;"
                        "Threads of a rank=3;Number type=f32;Kernels=avx2;Matrix products=oneDNN 2.6.3;"
                        "MPI=Open MPI 4.1.4;HDF5=1.10.8;mpilora=9.9.9 (commit 012);");
    str_clear(&text);
    const struct machine one = {.processors = kinds, .count = 1};
    assert_ok(machine_append_processors(&text, &one, &e), &e);
    assert_string_equal(text.data, "EPYC \"7543\"");
    str_release(&text);
}

/* A resume on another machine is listed; on the same one it is not. Lines that are cut go with what they say. */
static void a_run_has_those_of_its_starts(void **state)
{
    (void)state;
    struct runlock lock;
    struct metrics m;
    struct machine_list list;
    struct arena a = {0};
    struct err e;
    static const struct {
        uint64_t from;
        const char *machine;
    } starts[] = {{0, "{\"ranks\": 1}"}, {2, "{\"ranks\": 1}"}, {4, "{\"ranks\": 2}"}, {6, "{\"ranks\": 1}"},
                  {6, "{\"ranks\": 8}"}};
    const char *path = scratch_path(&place, "metrics.jsonl");
    assert_ok(machine_list_read(&list, path, &a, &e), &e);
    assert_null(list.first);
    assert_ok(runlock_take(&lock, place.folder, "here", &e), &e);
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        assert_ok(metrics_open(&m, &lock, starts[i].from, &e), &e);
        for (uint64_t k = 1; k <= 2; k++) {
            const struct metrics_row row = {.step = starts[i].from + k, .machine = k == 1 ? starts[i].machine : NULL};
            assert_ok(metrics_write(&m, &row, &e), &e);
        }
        metrics_close(&m);
    }
    FILE *f = fopen(path, "a");
    assert_non_null(f);
    fputs("{\"machine\"\n{\"machine\": {}}\n{\"step\": 9, \"machine\": {\"ranks\": 16", f); /* not ours, or not whole */
    fclose(f);
    assert_ok(machine_list_read(&list, path, &a, &e), &e);
    static const size_t expected[][2] = {{1, 1}, {5, 2}, {7, 8}};
    size_t count = 0;
    for (const struct machine_start *s = list.first; s; s = s->next, count++) {
        assert_in_range(count, 0, 2);
        assert_int_equal(s->step, expected[count][0]);
        assert_int_equal(s->machine.ranks, expected[count][1]);
    }
    assert_int_equal(count, 3);
    runlock_release(&lock);
    arena_release(&a);
}

static void the_program_has_a_version(void **state)
{
    (void)state;
    assert_string_equal(machine_program(), MPILORA_VERSION);
    machine_set_program("9.9.9 (commit 012)");
    assert_string_equal(machine_program(), "9.9.9 (commit 012)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_reads_back),   cmocka_unit_test(strange_records_say_little),
        cmocka_unit_test(people_read_its_facts), cmocka_unit_test(a_run_has_those_of_its_starts),
        cmocka_unit_test(the_program_has_a_version),
    };
    return cmocka_run_group_tests(tests, open_place, close_place);
}
