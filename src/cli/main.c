#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/log.h"
#include "base/lost_map.h"
#include "base/str.h"
#include "cli/commands.h"
#include "cli/commit.h" /* made by the build */
#include "io/h5/h5.h"
#include "math/gemm.h"
#include "math/parallel.h"
#include "ranks/launch.h"
#include "run/first_day.h"
#include "run/machine.h"
#include "train/signals.h"

enum command_ranks { TOGETHER, ALONE, DATA };
enum command_signals { STOPS, ENDS };

static const struct command {
    const char *name;
    enum command_ranks ranks;
    enum command_signals signals;
    command_function *run;
} commands[] = {
#define COMMAND(NAME, name, ranks, signals, config, argument, help, example) {#name, ranks, signals, cmd_##name},
#include "run/commands.def"
#undef COMMAND
};

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (!strcmp(commands[i].name, name))
            return &commands[i];
    return NULL;
}

static bool works_together(const struct command *c, const struct options *o)
{
    return c->ranks == TOGETHER || (c->ranks == DATA && o->data.count > 0);
}

/* Restarts this program, by its real path: the kernel names a process after the path that it was started by,
 * and one named `exe` is found by no pgrep. Only where that path does not lead to it any more, by the link. */
static void restart(char **argv)
{
    char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path);
    if (length > 0 && (size_t)length < sizeof path) {
        path[length] = '\0';
        execv(path, argv);
    }
    execv("/proc/self/exe", argv);
}

/* OpenBLAS chooses its kernels before main() begins; a better choice takes a new start of the program. */
static void restart_with_better_core(char **argv)
{
    static const char guard[] = "MPILORA_RESTARTED";
    const char *core = gemm_better_core();
    if (!core || getenv(guard))
        return;
    parallel_roam(); /* or OpenMP would find one processor only */
    if (!setenv("OPENBLAS_CORETYPE", core, 1) && !setenv(guard, "1", 1))
        restart(argv);
    log_warn("OpenBLAS does not know this processor and uses slow kernels; set OPENBLAS_CORETYPE=%s", core);
}

/* A result that did not reach its reader (a full disk, say) is a failure. */
static enum err_code flush_output(struct err *e)
{
    errno = 0;
    bool failed = ferror(stdout);
    if (!fflush(stdout) && !failed)
        return ERR_OK;
    if (!errno) /* it was an earlier one: where nothing is kept back (MPICH sees to that), a further one tells why */
        (void)!write(STDOUT_FILENO, "\n", 1);
    return err_set_errno(e, errno ? errno : EIO, "cannot write to standard output");
}

static int report(enum err_code code, const struct err *e, bool speaking)
{
    if (code && speaking)
        log_error("%s", e->message);
    return err_exit_status(code);
}

/* Not a later rank, whose lines would be those of rank 0 once more; but one with a terminal was started by hand, in a
 * shell that has kept the variables of a rank. */
static bool speaks(void)
{
    return launch_rank() <= 0 || isatty(STDERR_FILENO);
}

/* Prints text made by one of the help functions. */
static int print_made(enum err_code code, struct str *text, FILE *stream, struct err *e)
{
    const bool speaking = speaks();
    if (!code && speaking) {
        fwrite(text->data, 1, text->length, stream);
        code = flush_output(e);
    }
    str_release(text);
    return report(code, e, speaking);
}

static int print_overview(FILE *stream)
{
    struct err e;
    struct str text = {0};
    return print_made(options_help_overview(&text, &e), &text, stream, &e);
}

static int print_help(const char *command)
{
    struct err e;
    struct str text = {0};
    return print_made(options_help(command, &text, &e), &text, stdout, &e);
}

static int print_man(const char *command)
{
    struct err e;
    struct str text = {0};
    return print_made(options_man(command, &text, &e), &text, stdout, &e);
}

static int print_markdown(void)
{
    struct err e;
    struct str text = {0};
    return print_made(options_markdown(&text, &e), &text, stdout, &e);
}

/* One fact a line, for scripts too. */
static int print_version(void)
{
    struct err e;
    struct str text = {0};
    char mpi[128];
    const char *const commit = MPILORA_COMMIT;
    dist_version(mpi, sizeof mpi);
    enum err_code code = str_appendf(&text, &e, "mpilora %s\n", MPILORA_VERSION);
    if (!code && *commit != '\0')
        code = str_appendf(&text, &e, "commit: %s%s\ndate: %s\n", commit,
                           MPILORA_COMMIT_MODIFIED ? " modified" : "", MPILORA_COMMIT_DATE);
    if (!code)
        code = str_appendf(&text, &e, "compiler: %s\nMPI: %s\nHDF5: %s\nBLAS: %s\nISA: %s (%s)\n", MPILORA_COMPILER,
                           mpi, h5_version(), gemm_backend(), cpu_isa_name(cpu_isa_best()), cpu_model_name());
    return print_made(code, &text, stdout, &e);
}

/* In what runs record: "1.0.0 (commit 0123456789ab, modified)". */
static void name_program(void)
{
    static char name[128];
    const char *const commit = MPILORA_COMMIT;
    if (*commit == '\0')
        return;
    snprintf(name, sizeof name, "%s (commit %.12s%s)", MPILORA_VERSION, commit,
             MPILORA_COMMIT_MODIFIED ? ", modified" : "");
    machine_set_program(name);
}

/* Runs one command on the ranks that it is for. Options are read before MPI starts, so that help and mistakes
 * need no launcher; under one, the ranks agree on a mistake, and one of them prints it. */
static int run_command(const char *name, int *argc, char ***argv)
{
    struct err e;
    struct dist d;
    struct options o;
    const struct command *command = find_command(name);
    int rank = launch_rank(), was_bound = launch_unbind();
    enum err_code code = options_parse(&o, name, *argc - 2, *argv + 2, &e);
    int status = 0;
    if (!code && o.set.help_wanted) {
        status = print_help(name);
        goto out;
    }
    bool together = command ? works_together(command, &o) && (!code || rank >= 0) : rank >= 0;
    if (!together && !speaks())
        goto out;
    launch_alone(&d);
    lost_map_install();
    if (!code && command && command->signals == STOPS && works_together(command, &o))
        code = signals_take(speaks(), &e);
    enum err_code parsed = code;
    if (together) {
        struct err trouble;
        code = dist_start(&d, argc, argv, &trouble);
        lost_map_install(); /* MPI has a handler of its own, which prints the stack */
        if (code) {
            e = trouble;
            d.rank =
                rank > 0 ? rank : 0; /* as the launcher has it: MPI may think that each process is alone */
        } else {
            code = dist_agree(&d, parsed, &e);
        }
    }
    log_set_speaking(d.rank == 0);
    if (was_bound > 0 && !code)
        log_note("mpirun had bound each rank to %d core%s, as it does by default: they may use all of the "
                 "job's %d",
                 was_bound, was_bound == 1 ? "" : "s", launch_job_cores());
    assert(command || code); /* options_parse() knows the same commands */
    if (!code)
        code = first_day_settle(&o, &d, &e);
    if (!code)
        code = command->run(&o, &d, &e);
    signals_end();
    if (!code)
        code = flush_output(&e);
    log_progress_end();
    status = report(code, &e, d.rank == 0 || (d.world == 1 && speaks()));
    if (together)
        dist_stop(&d);
out:
    options_release(&o);
    return status;
}

/* A job script learns here how the program has ended, since mpirun may not know (jobs/supervise.sh). It has made the
 * file if it wants to know; written in place, so that whoever opens it next sees what is in it, on other nodes too. */
static void tell_job(int status)
{
    const char *path = getenv("MPILORA_ENDED");
    if (!path || !*path || launch_rank() > 0)
        return;
    FILE *file = fopen(path, "r+e");
    if (!file && errno == ENOENT)
        return;
    bool failed = !file || fprintf(file, "%d\n", status) < 0;
    if ((file && fclose(file)) || failed)
        log_warn("the job script is not told that this is the end: %s: %s", path, strerror(errno));
}

int main(int argc, char **argv)
{
    log_set_speaking(speaks()); /* before anything may have a word to say */
    restart_with_better_core(argv);
    const char *name = argc > 1 ? argv[1] : "";
    log_set_terminal(launch_terminal());
    if (!*name) {
        print_overview(stderr);
        return err_exit_status(ERR_USAGE);
    }
    if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help"))
        return argc > 2 ? print_help(argv[2]) : print_overview(stdout);
    if (!strcmp(name, "--version"))
        return print_version();
    if (!strcmp(name, "--help-markdown"))
        return print_markdown();
    if (!strcmp(name, "--help-man"))
        return print_man(argc > 2 ? argv[2] : "");
    name_program();
    int status = run_command(name, &argc, &argv);
    tell_job(status);
    return status;
}
