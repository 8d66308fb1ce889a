#include "unit.h"

#include <sched.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/file.h"
#include "scratch.h"

SCRATCH_OF_GROUP(scratch, set_up, tear_down)

/* A file in the pretended cgroup tree, with its folders. */
static void put(const char *name, const char *text)
{
    struct err e;
    char folder[PATH_MAX];
    const char *path = scratch_path(&scratch, name);
    snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = '\0';
    assert_ok(file_make_folders(folder, &e), &e);
    assert_ok(file_write_atomic(path, text, strlen(text), &e), &e);
}

static double quota(const char *membership, const char *mount)
{
    return cpu_cgroup_quota(scratch_path(&scratch, membership), scratch_path(&scratch, mount));
}

static void reads_quota_v2(void **state)
{
    (void)state;
    put("v2/membership", "0::/job/step\n");
    assert_true(quota("v2/membership", "v2/fs") == 0);
    put("v2/fs/job/step/cpu.max", "max 100000\n");
    assert_true(quota("v2/membership", "v2/fs") == 0);
    put("v2/fs/job/cpu.max", "250000 100000\n"); /* a parent's limit holds for the child */
    assert_true(quota("v2/membership", "v2/fs") == 2.5);
    put("v2/fs/job/step/cpu.max", "400000 100000\n");
    assert_true(quota("v2/membership", "v2/fs") == 2.5);
    put("v2/fs/job/step/cpu.max", "50000 100000\n");
    assert_true(quota("v2/membership", "v2/fs") == 0.5);
    put("v2/fs/job/step/cpu.max", "garbage\n");
    assert_true(quota("v2/membership", "v2/fs") == 2.5);
    put("v2/root", "0::/\n"); /* a container that sees itself as the root */
    put("v2/fs/cpu.max", "300000 100000\n");
    assert_true(quota("v2/root", "v2/fs") == 3);
    put("v2/outside", "0::/host/path/not/mounted\n");
    assert_true(quota("v2/outside", "v2/fs") == 3);
}

static void reads_quota_v1(void **state)
{
    (void)state;
    put("v1/membership",
        "5:memory:/elsewhere\n4:cpuset:/set\n3:cpu,cpuacct:/job\n1:name=systemd:/\n0::/job\n");
    put("v1/fs/cpu/job/cpu.cfs_quota_us", "-1\n");
    put("v1/fs/cpu/job/cpu.cfs_period_us", "100000\n");
    assert_true(quota("v1/membership", "v1/fs") == 0);
    put("v1/fs/cpu/job/cpu.cfs_quota_us", "150000\n");
    assert_true(quota("v1/membership", "v1/fs") == 1.5);
    assert_true(quota("v1/missing", "v1/fs") == 0);
    put("v1/broken", "no colons\n\n1:\n");
    assert_true(quota("v1/broken", "v1/fs") == 0);
}

static double memory(const char *membership, const char *mount)
{
    return cpu_cgroup_memory(scratch_path(&scratch, membership), scratch_path(&scratch, mount));
}

static void reads_memory_limits(void **state)
{
    (void)state;
    put("m2/membership", "0::/job/step\n");
    assert_true(memory("m2/membership", "m2/fs") == 0);
    put("m2/fs/job/step/memory.max", "max\n");
    assert_true(memory("m2/membership", "m2/fs") == 0);
    put("m2/fs/job/memory.max", "3000000000\n"); /* a parent's */
    assert_true(memory("m2/membership", "m2/fs") == 3e9);
    put("m1/membership", "9:cpu:/elsewhere\n4:memory:/slurm/job\n0::/\n");
    put("m1/fs/memory/slurm/job/memory.limit_in_bytes", "9223372036854771712\n"); /* what v1 has for none */
    put("m1/fs/memory/memory.limit_in_bytes", "9223372036854771712\n");
    assert_true(memory("m1/membership", "m1/fs") == 0);
    put("m1/fs/memory/slurm/memory.limit_in_bytes", "524288000\n");
    assert_true(memory("m1/membership", "m1/fs") == 524288000);

    double installed = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    assert_true(cpu_memory_limit() > 0 && cpu_memory_limit() <= installed);
}

static void adds_caches(void **state)
{
    (void)state;
    const char *devices = scratch_path(&scratch, "caches");
    assert_int_equal(cpu_cache(devices), 0);
    for (int cpu = 0; cpu < 4; cpu++) { /* two caches */
        char name[64];
        snprintf(name, sizeof name, "caches/cpu%d/cache/index3/size", cpu);
        put(name, cpu < 2 ? "32768K\n" : "1M\n");
        snprintf(name, sizeof name, "caches/cpu%d/cache/index3/shared_cpu_list", cpu);
        put(name, cpu < 2 ? "0-1\n" : "2-3,66-67\n");
    }
    devices = scratch_path(&scratch, "caches");
    assert_int_equal(cpu_cache(devices), 33 << 20);
    put("caches/cpu2/cache/index3/size", "garbage\n");
    devices = scratch_path(&scratch, "caches");
    assert_int_equal(cpu_cache(devices), 32 << 20);
}

static void honours_affinity(void **state)
{
    (void)state;
    cpu_set_t before, one;
    assert_int_equal(sched_getaffinity(0, sizeof before, &before), 0);
    int all = cpu_usable_cores();
    assert_true(all >= 1 && all <= CPU_COUNT(&before));
    CPU_ZERO(&one);
    for (size_t cpu = 0; cpu < CPU_SETSIZE && !CPU_COUNT(&one); cpu++)
        if (CPU_ISSET(cpu, &before))
            CPU_SET(cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    int bound = cpu_usable_cores();
    assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
    assert_int_equal(bound, 1);
}

static void environment_lowers_the_isa(void **state)
{
    (void)state;
    unsetenv("MPILORA_ISA");
    enum cpu_isa best = cpu_isa_best();
    bool bf16 = cpu_has_bf16();
    assert_true(!bf16 || best == CPU_AVX512);
    setenv("MPILORA_ISA", "portable", 1);
    assert_int_equal(cpu_isa_best(), CPU_PORTABLE);
    assert_false(cpu_has_bf16());
    setenv("MPILORA_ISA", "avx2", 1);
    assert_false(cpu_has_bf16());
    setenv("MPILORA_ISA", "avx512", 1);
    assert_int_equal(cpu_isa_best(), best); /* never above what there is */
    assert_int_equal(cpu_has_bf16(), bf16);
    setenv("MPILORA_ISA", "sse9", 1);
    assert_int_equal(cpu_isa_best(), best);
    unsetenv("MPILORA_ISA");
    assert_string_equal(cpu_isa_name(CPU_AVX2), "avx2");
    assert_true(strlen(cpu_model_name()) > 0);
}

static void counts_memory(void **state)
{
    (void)state;
    size_t size = (size_t)64 << 20, before = cpu_memory_resident();
    assert_true(before > 100000);
    char *block = malloc(size);
    assert_non_null(block);
    for (size_t i = 0; i < size; i += 512)
        *(volatile char *)(block + i) = 1;
    size_t during = cpu_memory_resident();
    free(block);
    assert_true(during > before + size / 10 * 9);
    assert_true(cpu_memory_peak() >= during - size / 10);
}

static void time_passes(void **state)
{
    (void)state;
    double start = cpu_seconds();
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    double passed = cpu_seconds() - start;
    assert_true(passed >= 0.02 && passed < 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reads_quota_v2),
                                       cmocka_unit_test(reads_quota_v1),
                                       cmocka_unit_test(reads_memory_limits),
                                       cmocka_unit_test(adds_caches),
                                       cmocka_unit_test(honours_affinity),
                                       cmocka_unit_test(environment_lowers_the_isa),
                                       cmocka_unit_test(counts_memory),
                                       cmocka_unit_test(time_passes)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
