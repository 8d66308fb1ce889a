/*
 * The processor and the limits of this process: instruction sets, usable cores, memory, clocks.
 */
#ifndef MPILORA_BASE_CPU_H
#define MPILORA_BASE_CPU_H

#include <stdbool.h>
#include <stddef.h>

/* Instruction set paths that kernels are compiled for, best last. */
enum cpu_isa { CPU_PORTABLE, CPU_AVX2, CPU_AVX512 };

enum cpu_isa cpu_isa_best(void); /* of this processor; MPILORA_ISA=portable|avx2|avx512 lowers it, for tests */
const char *cpu_isa_name(enum cpu_isa isa);
bool cpu_has_bf16(void); /* has AVX512_BF16 (as all processors with AMX_BF16) and the avx512 path is used */
bool cpu_has_amx(void);  /* cpu_has_bf16(), and has AMX_BF16 */
const char *cpu_model_name(void); /* from /proc/cpuinfo */

/* Cores that this process may run on: its affinity mask cut by the cgroup CPU quota; at least 1. */
int cpu_usable_cores(void);
/* The cgroup CPU quota alone, in whole cores, at least 1; 0: there is no quota. */
int cpu_quota_cores(void);

/* CPU time per second that cgroups (v1 or v2) allow, in cores: the tightest limit of this cgroup and its parents;
 * 0: no limit. `membership` is /proc/self/cgroup and `mount` /sys/fs/cgroup, except in tests. */
double cpu_cgroup_quota(const char *membership, const char *mount);
/* The tightest memory limit in the same way, in bytes; 0: no limit. */
double cpu_cgroup_memory(const char *membership, const char *mount);
/* Bytes of memory that all processes together may use: the installed memory, or the cgroup's limit if that is less;
 * 0: unknown. */
double cpu_memory_limit(void);

/* Bytes of all third-level caches of this host together, as its kernel has them: for a virtual machine, glibc gives
 * those of the whole processor. `devices` is /sys/devices/system/cpu, except in tests; 0: unknown. */
size_t cpu_cache(const char *devices);

/* Resident and peak resident bytes of this process. */
size_t cpu_memory_resident(void);
size_t cpu_memory_peak(void);

double cpu_seconds(void);       /* the monotonic clock */
double cpu_process_start(void); /* when this process started, on that clock, to 0.01 s */

#endif
