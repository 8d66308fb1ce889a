#include "ranks/launch.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cpu.h"

int launch_rank(void)
{
    /* Open MPI's mpirun; whatever speaks PMIx (srun --mpi=pmix); MPICH's mpirun, srun --mpi=pmi2; plain srun */
    static const char *const variables[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"};
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) {
        const char *text = getenv(variables[i]);
        char *end;
        long rank = text ? strtol(text, &end, 10) : -1;
        if (rank >= 0 && rank <= INT_MAX && end != text && !*end)
            return (int)rank;
    }
    return -1;
}

/* Its name up to a dot (mpirun.openmpi, mpiexec.hydra), and the number of its parent. */
static bool read_process(pid_t pid, char name[32], pid_t *parent)
{
    char path[64];
    int number = 0;
    name[0] = '\0';
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    bool read = file && fscanf(file, "%*d (%31[^)]) %*c %d", name, &number) == 2;
    if (file)
        fclose(file);
    *parent = read ? number : 0;
    name[strcspn(name, ".")] = '\0';
    return read;
}

/* Is that process one that starts ranks? Its parent's number is known then, too. */
static bool is_launcher(pid_t pid, pid_t *parent)
{
    static const char *const names[] = {"mpirun", "mpiexec", "orterun", "orted",
                                        "prterun", "prted", "hydra_pmi_proxy"};
    char name[32];
    bool read = read_process(pid, name, parent);
    for (size_t i = 0; read && i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* The words of /proc/PID/cmdline or environ, each with its zero; returns the bytes of them that fit in. */
static size_t read_words(pid_t pid, const char *which, size_t room, char words[])
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, which);
    FILE *file = fopen(path, "re");
    size_t size = file ? fread(words, 1, room - 1, file) : 0;
    words[size] = '\0';
    if (file)
        fclose(file);
    return size;
}

static bool is_like(const char *text, size_t count, const char *const patterns[])
{
    for (size_t i = 0; i < count; i++)
        if (fnmatch(patterns[i], text, FNM_CASEFOLD) == 0)
            return true;
    return false;
}

/* Has that process an option like one of these patterns? They are compared with an option, without its hyphens, and
 * what follows it up to the next one, so that those of the program which it starts are seen, too. */
static bool has_option(pid_t pid, size_t count, const char *const patterns[])
{
    char words[1 << 14];
    size_t size = read_words(pid, "cmdline", sizeof words, words);
    for (size_t i = 0; i + 1 < size; i++)
        if (!words[i] && words[i + 1] != '-')
            words[i] = ' ';
    for (const char *option = words; option < words + size; option += strlen(option) + 1)
        if (*option == '-' && is_like(option + strspn(option, "-"), count, patterns))
            return true;
    return false;
}

/* Was it started with a variable like one of these, NAME=VALUE? */
static bool has_variable(pid_t pid, size_t count, const char *const patterns[])
{
    char words[1 << 17];
    size_t size = read_words(pid, "environ", sizeof words, words);
    for (const char *variable = words; variable < words + size; variable += strlen(variable) + 1)
        if (is_like(variable, count, patterns))
            return true;
    return false;
}

/* Where the process that started this one, or its wrapper, may run; false if there is none that is known. */
static bool find_cores_of_launcher(cpu_set_t *cores)
{
    pid_t pid = getppid(), parent;
    for (; pid > 1; pid = parent)
        if (is_launcher(pid, &parent))
            return sched_getaffinity(pid, sizeof *cores, cores) == 0;
    return false;
}

int launch_job_cores(void)
{
    cpu_set_t own, all;
    if (sched_getaffinity(0, sizeof own, &own))
        return cpu_usable_cores();
    if (launch_rank() < 0 || !find_cores_of_launcher(&all))
        return CPU_COUNT(&own);
    CPU_OR(&all, &all, &own);
    return CPU_COUNT(&all);
}

/* Has somebody said where ranks, or their threads, are to run? Open MPI 4 hands its options on as variables. */
static bool is_placed_on_purpose(void)
{
    static const char *const variables[] = {"OMPI_MCA_hwloc_base_binding_policy",
                                            "OMPI_MCA_hwloc_base_cpu_set",
                                            "OMPI_MCA_rmaps_base_cpus_per_rank",
                                            "OMPI_MCA_rmaps_rank_file_path",
                                            "OMPI_MCA_orte_rankfile",
                                            "OMPI_MCA_hwloc_base_slot_list",
                                            "OMP_PROC_BIND",
                                            "OMP_PLACES",
                                            "GOMP_CPU_AFFINITY",
                                            "KMP_AFFINITY"};
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        if (getenv(variables[i]))
            return true;
    /* "slot", "node" and "ppr:2:node" say how many ranks a host gets; "core", "slot:pe=4" say more. */
    const char *mapping = getenv("OMPI_MCA_rmaps_base_mapping_policy");
    if (!mapping)
        return false;
    const char *object = strrchr(mapping, ':') ? strrchr(mapping, ':') + 1 : mapping;
    return strcasecmp(object, "slot") != 0 && strcasecmp(object, "node") != 0;
}

/* Open MPI 5 tells its ranks neither that it has bound them nor what it was asked for. Its mpirun's own command line
 * and variables do, on the host where it runs. */
static bool has_prte_bound_by_default(pid_t mpirun)
{
    static const char *const options[] = {"bind-to*", "cpu-*", "cpus-*",   "map-by*",  "pe-list*",
                                          "rankfile*", "rf *", "*hwloc_*", "*rmaps_*", "use-hwthread-cpus*"};
    static const char *const variables[] = {"PRTE_MCA_hwloc_*=*", "PRTE_MCA_rmaps_*=*"};
    char name[32];
    pid_t parent;
    return getenv("PRTE_LAUNCHED") && read_process(mpirun, name, &parent) && strcmp(name, "prterun") == 0 &&
           !has_option(mpirun, sizeof options / sizeof *options, options) &&
           !has_variable(mpirun, sizeof variables / sizeof *variables, variables);
}

int launch_unbind(void)
{
    const char *bound = getenv("OMPI_MCA_orte_bound_at_launch"),
               *ranks = getenv("OMPI_COMM_WORLD_LOCAL_SIZE");
    cpu_set_t own, all;
    pid_t parent;
    if (!(bound ? strcmp(bound, "1") == 0 : has_prte_bound_by_default(getppid())) || !ranks ||
        is_placed_on_purpose())
        return 0;
    /* A wrapper between may have a will of its own (taskset, numactl). */
    if (!is_launcher(getppid(), &parent) || sched_getaffinity(getppid(), sizeof all, &all) ||
        sched_getaffinity(0, sizeof own, &own))
        return 0;
    int before = CPU_COUNT(&own);
    if (before * strtol(ranks, NULL, 10) >= CPU_COUNT(&all) || sched_setaffinity(0, sizeof all, &all))
        return 0;
    return before;
}

bool launch_by_mpirun(void)
{
    pid_t parent;
    return getenv("OMPI_COMM_WORLD_RANK") && is_launcher(getppid(), &parent);
}

/* The mpirun on this host that prints what this process writes; 0: none is known. MPICH's has a proxy in between. */
static pid_t find_printer(void)
{
    pid_t pid = getppid(), parent, other;
    if (launch_rank() < 0 || !is_launcher(pid, &parent))
        return 0;
    return launch_by_mpirun() ? pid : is_launcher(parent, &other) ? parent : 0;
}

/* Does that mpirun write something else around what its ranks print? Open MPI 4 tells them in the environment. */
static bool adds_text(pid_t mpirun)
{
    static const char *const variables[] = {"OMPI_MCA_orte_tag_output", "OMPI_MCA_orte_timestamp_output",
                                            "OMPI_MCA_orte_xml_output", "OMPI_MCA_orte_output_filename"};
    static const char *const options[] = {
        "l", "l *", "prepend-*", "errfile*", "outfile*", /* MPICH */
        "tag-output*", "timestamp-output*", "xml*", "output-*", "output[= ]tag*", "output[= ]rank*",
        "output[= ]timestamp*", "output[= ]xml*", "output[= ]dir*=*", "output[= ]file*=*" /* Open MPI 5 */};
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        if (getenv(variables[i]))
            return true;
    return has_option(mpirun, sizeof options / sizeof *options, options);
}

int launch_terminal(void)
{
    char path[64];
    struct stat st;
    pid_t printer = find_printer();
    if (!printer || adds_text(printer) || fstat(STDERR_FILENO, &st) || !S_ISFIFO(st.st_mode))
        return -1;
    snprintf(path, sizeof path, "/proc/%d/fd/2", (int)printer);
    int terminal = open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (terminal >= 0 && !isatty(terminal)) {
        close(terminal);
        terminal = -1;
    }
    return terminal;
}

void launch_alone(struct dist *d)
{
    *d = (struct dist){.world = 1, .node_ranks = 1, .nodes = 1};
    if (gethostname(d->host, sizeof d->host - 1))
        d->host[0] = '\0';
}
