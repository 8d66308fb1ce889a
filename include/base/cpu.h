/*
 * The processor: which instruction sets it has, how many cores this process may use, memory in use.
 */
#ifndef MPILORA_BASE_CPU_H
#define MPILORA_BASE_CPU_H

#include <stdbool.h>
#include <stddef.h>

/* Instruction set paths that kernels are compiled for, best last. */
enum cpu_isa { CPU_PORTABLE, CPU_AVX2, CPU_AVX512 };

enum cpu_isa cpu_isa_best(void); /* MPILORA_ISA=portable|avx2|avx512 lowers it, for tests */
const char *cpu_isa_name(enum cpu_isa isa);
bool cpu_has_bf16(void); /* multiplies bf16 on the avx512 path: AVX512_BF16, which all with AMX_BF16 have */
bool cpu_has_amx(void);  /* ... and has AMX_BF16 */
const char *cpu_model_name(void); /* as /proc/cpuinfo has it */

/* Cores that this process may run on: its affinity mask cut by the cgroup CPU quota; at least 1. */
int cpu_usable_cores(void);
/* The quota alone, in whole cores, at least 1; 0: there is none. */
int cpu_quota_cores(void);

/* Cores' worth of time that cgroups (v1 or v2) allow, the tightest limit on the way up; 0: no limit.
 * `membership` is /proc/self/cgroup and `mount` /sys/fs/cgroup outside of tests. */
double cpu_cgroup_quota(const char *membership, const char *mount);
/* Likewise bytes of memory. */
double cpu_cgroup_memory(const char *membership, const char *mount);
/* Bytes that all processes may take: what is installed, or less if the cgroup says so; 0: unknown. */
double cpu_memory_limit(void);

/* Resident and peak resident bytes of this process. */
size_t cpu_memory_resident(void);
size_t cpu_memory_peak(void);

double cpu_seconds(void);       /* monotonic clock */
double cpu_process_start(void); /* on that clock: when this process began, to a hundredth of a second */

#endif
