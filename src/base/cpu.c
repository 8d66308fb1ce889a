#include "base/cpu.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include "base/log.h"
#include "base/str.h"

static const char *const isa_names[] = {
    [CPU_PORTABLE] = "portable", [CPU_AVX2] = "avx2", [CPU_AVX512] = "avx512"};

#if defined(__x86_64__)
/* What -march=x86-64-v3 lets a compiler use and __builtin_cpu_supports() of clang has no name for. */
static bool has_v3_extras(void)
{
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_F16C) || !(c & bit_MOVBE))
        return false;
    return __get_cpuid(0x80000001, &a, &b, &c, &d) && (c & bit_LZCNT);
}

static enum cpu_isa isa_of_hardware(void)
{
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") || !__builtin_cpu_supports("bmi") ||
        !__builtin_cpu_supports("bmi2") || !has_v3_extras())
        return CPU_PORTABLE;
    bool v4 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
              __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
              __builtin_cpu_supports("avx512vl");
    return v4 ? CPU_AVX512 : CPU_AVX2;
}

static bool has_avx512_bf16(void)
{
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 1, &a, &b, &c, &d) && (a & 1U << 5);
}

static bool has_amx_bf16(void)
{
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (d & 1U << 22);
}
#else
static enum cpu_isa isa_of_hardware(void)
{
    return CPU_PORTABLE;
}

static bool has_avx512_bf16(void)
{
    return false;
}

static bool has_amx_bf16(void)
{
    return false;
}
#endif

enum cpu_isa cpu_isa_best(void)
{
    static int hardware = -1; /* asked once: under a hypervisor each question takes many microseconds */
    int known = __atomic_load_n(&hardware, __ATOMIC_RELAXED);
    if (known < 0) {
        known = (int)isa_of_hardware();
        __atomic_store_n(&hardware, known, __ATOMIC_RELAXED);
    }
    enum cpu_isa best = (enum cpu_isa)known;
    const char *wanted = getenv("MPILORA_ISA");
    if (!wanted || !*wanted)
        return best;
    for (int isa = CPU_PORTABLE; isa <= CPU_AVX512; isa++)
        if (strcmp(wanted, isa_names[isa]) == 0)
            return isa < (int)best ? (enum cpu_isa)isa : best;
    static bool warned; /* this is asked at every turn, by any thread */
    if (!__atomic_exchange_n(&warned, true, __ATOMIC_RELAXED))
        log_warn("MPILORA_ISA=%s is ignored: it may be portable, avx2 or avx512", wanted);
    return best;
}

bool cpu_has_bf16(void)
{
    return cpu_isa_best() == CPU_AVX512 && has_avx512_bf16();
}

bool cpu_has_amx(void)
{
    return cpu_has_bf16() && has_amx_bf16();
}

const char *cpu_isa_name(enum cpu_isa isa)
{
    return isa_names[isa];
}

/* First line of a small kernel file that starts with `prefix`, without that prefix; false if there is none.
 */
static bool line_of(char *line, size_t size, const char *path, const char *prefix)
{
    FILE *file = fopen(path, "re");
    bool found = false;
    while (file && !found && fgets(line, (int)size, file))
        found = str_starts_with(line, prefix);
    if (file)
        fclose(file);
    if (found) {
        size_t skip = strlen(prefix);
        memmove(line, line + skip, strlen(line) - skip + 1);
        line[strcspn(line, "\n")] = '\0';
    }
    return found;
}

const char *cpu_model_name(void)
{
    static char name[256];
    char line[sizeof name];
    if (name[0])
        return name;
    const char *text = "unknown processor";
    if (line_of(line, sizeof line, "/proc/cpuinfo", "model name"))
        text = line + strspn(line, "\t :");
    snprintf(name, sizeof name, "%s", text);
    return name;
}

static int affinity_cores(void)
{
    long configured = sysconf(_SC_NPROCESSORS_CONF);
    for (size_t cpus = configured > CPU_SETSIZE ? (size_t)configured : CPU_SETSIZE; cpus <= 1 << 20;
         cpus *= 2) {
        cpu_set_t *set = CPU_ALLOC(cpus);
        if (!set)
            break;
        size_t size = CPU_ALLOC_SIZE(cpus);
        int failed = sched_getaffinity(0, size, set), reason = errno;
        int count = failed ? 0 : CPU_COUNT_S(size, set);
        CPU_FREE(set);
        if (!failed)
            return count > 0 ? count : 1;
        if (reason != EINVAL) /* EINVAL: the kernel's mask is larger than ours */
            break;
    }
    return 1;
}

/* Cores that one cgroup folder allows; 0: no limit there, or not a folder of this kind. */
static double quota_of_folder(const char *folder)
{
    char path[PATH_MAX + 32], line[128], period_line[128];
    double quota, period;
    snprintf(path, sizeof path, "%s/cpu.max", folder);
    if (line_of(line, sizeof line, path, ""))
        return sscanf(line, "%lf %lf", &quota, &period) == 2 && quota > 0 && period > 0 ? quota / period : 0;
    snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", folder);
    if (!line_of(line, sizeof line, path, ""))
        return 0;
    snprintf(path, sizeof path, "%s/cpu.cfs_period_us", folder);
    if (!line_of(period_line, sizeof period_line, path, ""))
        return 0;
    quota = strtod(line, NULL);
    period = strtod(period_line, NULL);
    return quota > 0 && period > 0 ? quota / period : 0; /* -1: no limit */
}

/* Bytes that one cgroup folder allows; 0 as above. */
static double memory_of_folder(const char *folder)
{
    const double unlimited = 0x1p62; /* v1 says "no limit" with the largest number of whole pages */
    char path[PATH_MAX + 32], line[128];
    snprintf(path, sizeof path, "%s/memory.max", folder);
    bool found = line_of(line, sizeof line, path, "");
    snprintf(path, sizeof path, "%s/memory.limit_in_bytes", folder);
    if (!found && !line_of(line, sizeof line, path, ""))
        return 0;
    double limit = strtod(line, NULL); /* of "max" 0 */
    return limit > 0 && limit < unlimited ? limit : 0;
}

/* The tightest limit on the way from a cgroup up to the root of its hierarchy. Every parent counts; and in a
 * container the path may be the host's, while the root of the mount is the container's own group. */
static double limit_up_to(const char *mount, const char *group, double (*of_folder)(const char *))
{
    char folder[PATH_MAX];
    int length = snprintf(folder, sizeof folder, "%s%s", mount, group);
    size_t root = strlen(mount);
    if (length < 0 || (size_t)length >= sizeof folder)
        return 0;
    double least = 0;
    for (;;) {
        double limit = of_folder(folder);
        if (limit > 0 && (least == 0 || limit < least))
            least = limit;
        char *slash = strrchr(folder + root, '/');
        if (!slash)
            return least;
        *slash = '\0';
    }
}

static double cgroup_limit(const char *membership, const char *mount, const char *controller,
                           double (*of_folder)(const char *))
{
    FILE *file = fopen(membership, "re");
    if (!file)
        return 0;
    char line[PATH_MAX + 64], folder[PATH_MAX];
    double least = 0;
    while (fgets(line, sizeof line, file)) { /* hierarchy:controllers:path, v2 has no controllers */
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        *group++ = '\0';
        controllers++;
        bool v2 = *controllers == '\0', ours = false;
        for (char *rest = controllers, *word; (word = strsep(&rest, ","));)
            ours = ours || strcmp(word, controller) == 0;
        if (!v2 && !ours)
            continue;
        snprintf(folder, sizeof folder, "%s%s%s", mount, v2 ? "" : "/", v2 ? "" : controller);
        double limit = limit_up_to(folder, group, of_folder);
        if (limit > 0 && (least == 0 || limit < least))
            least = limit;
    }
    fclose(file);
    return least;
}

double cpu_cgroup_quota(const char *membership, const char *mount)
{
    return cgroup_limit(membership, mount, "cpu", quota_of_folder);
}

double cpu_cgroup_memory(const char *membership, const char *mount)
{
    return cgroup_limit(membership, mount, "memory", memory_of_folder);
}

int cpu_quota_cores(void)
{
    double quota = cpu_cgroup_quota("/proc/self/cgroup", "/sys/fs/cgroup");
    if (quota <= 0)
        return 0;
    return quota < 1 ? 1 : quota < INT_MAX ? (int)lround(quota) : INT_MAX;
}

int cpu_usable_cores(void)
{
    int cores = affinity_cores(), quota = cpu_quota_cores();
    return quota > 0 && quota < cores ? quota : cores;
}

double cpu_memory_limit(void)
{
    char line[128];
    double limit = cpu_cgroup_memory("/proc/self/cgroup", "/sys/fs/cgroup");
    double installed =
        line_of(line, sizeof line, "/proc/meminfo", "MemTotal:") ? strtod(line, NULL) * 1024 : 0;
    return installed > 0 && (limit <= 0 || installed < limit) ? installed : limit;
}

/* A cache counts at the first of the processors that share it. */
size_t cpu_cache(const char *devices)
{
    size_t total = 0;
    for (long cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        char path[PATH_MAX], sharers[128], line[128];
        snprintf(path, sizeof path, "%s/cpu%ld/cache/index3/shared_cpu_list", devices, cpu);
        if (!line_of(sharers, sizeof sharers, path, "") || strtol(sharers, NULL, 10) != cpu)
            continue;
        snprintf(path, sizeof path, "%s/cpu%ld/cache/index3/size", devices, cpu);
        char *unit;
        const size_t size = line_of(line, sizeof line, path, "") ? strtoull(line, &unit, 10) : 0;
        total += size > 0 ? size << (*unit == 'M' ? 20 : 10) : 0;
    }
    return total;
}

size_t cpu_memory_resident(void)
{
    char line[128];
    unsigned long long total, resident;
    if (!line_of(line, sizeof line, "/proc/self/statm", "") ||
        sscanf(line, "%llu %llu", &total, &resident) != 2)
        return 0;
    return (size_t)resident * (size_t)sysconf(_SC_PAGESIZE);
}

/* VmHWM and not getrusage(): ru_maxrss outlives an exec, so it may be the peak of the shell that started us.
 */
size_t cpu_memory_peak(void)
{
    char line[128];
    if (!line_of(line, sizeof line, "/proc/self/status", "VmHWM:"))
        return 0;
    size_t peak = (size_t)strtoull(line, NULL, 10) * 1024, resident = cpu_memory_resident();
    return peak > resident ? peak : resident; /* the kernel counts in batches: VmHWM may lag behind */
}

static double read_clock(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double cpu_seconds(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

/* Of the fields of /proc/self/stat, see proc(5), those after the name, which may hold anything. */
double cpu_process_start(void)
{
    enum { FIRST = 3, START = 22 };
    char line[1024];
    char *at = line_of(line, sizeof line, "/proc/self/stat", "") ? strrchr(line, ')') : NULL;
    for (int field = FIRST; at && field <= START; field++)
        at = strchr(at + 1, ' ');
    double now = cpu_seconds();
    if (!at)
        return now;
    double ticks = strtod(at, NULL), age = read_clock(CLOCK_BOOTTIME) - ticks / (double)sysconf(_SC_CLK_TCK);
    return age > 0 ? now - age : now;
}
