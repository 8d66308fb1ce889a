#include "ranks/launch.h"

#include <fcntl.h>
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

/* Is that process one that starts ranks? Its parent's number is known then, too. */
static bool is_launcher(pid_t pid, pid_t *parent)
{
    static const char *const names[] = {"mpirun", "mpiexec", "orterun", "orted",
                                        "prterun", "prted", "hydra_pmi_proxy"};
    char path[64], name[32] = "";
    int number = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    bool read = file && fscanf(file, "%*d (%31[^)]) %*c %d", name, &number) == 2;
    if (file)
        fclose(file);
    *parent = read ? number : 0;
    name[strcspn(name, ".")] = '\0'; /* mpirun.openmpi, mpiexec.hydra */
    for (size_t i = 0; read && i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
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

/* Has somebody said where ranks, or their threads, are to run? */
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

int launch_unbind(void)
{
    const char *bound = getenv("OMPI_MCA_orte_bound_at_launch"),
               *ranks = getenv("OMPI_COMM_WORLD_LOCAL_SIZE");
    cpu_set_t own, all;
    pid_t parent;
    if (!bound || strcmp(bound, "1") != 0 || !ranks || is_placed_on_purpose())
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

/* Open MPI tells its ranks of such options in the environment. */
static bool openmpi_adds_text(void)
{
    static const char *const variables[] = {"OMPI_MCA_orte_tag_output", "OMPI_MCA_orte_timestamp_output",
                                            "OMPI_MCA_orte_xml_output", "OMPI_MCA_orte_output_filename"};
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        if (getenv(variables[i]))
            return true;
    return false;
}

/* MPICH's mpirun has them in its command line only: -l, -prepend-rank, -errfile-pattern, with one hyphen or two. */
static bool mpich_adds_text(pid_t mpirun)
{
    static const char *const options[] = {"prepend-", "errfile", "outfile"};
    char path[64], *word = NULL;
    size_t size = 0;
    bool adds = false;
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)mpirun);
    FILE *file = fopen(path, "re");
    while (file && !adds && getdelim(&word, &size, '\0', file) > 0) {
        const char *name = word + strspn(word, "-");
        adds = !strcmp(word, "-l") || !strcmp(word, "--l");
        for (size_t i = 0; i < sizeof options / sizeof *options; i++)
            adds |= name != word && !strncmp(name, options[i], strlen(options[i]));
    }
    free(word);
    if (file)
        fclose(file);
    return adds;
}

int launch_terminal(void)
{
    char path[64];
    struct stat st;
    pid_t printer = find_printer();
    if (!printer || openmpi_adds_text() || mpich_adds_text(printer) || fstat(STDERR_FILENO, &st) ||
        !S_ISFIFO(st.st_mode))
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
