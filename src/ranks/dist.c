#include "ranks/dist.h"

#include <assert.h>
#include <limits.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "ranks/watchdog.h"

/* A count of MPI is an int; longer arrays go in pieces of this many elements. */
#define PIECE ((size_t)1 << 28)

enum { PARTING_NANOSECONDS = 300000000, PARTING_TAG = 1 };

/* The blocking calls' communicator and, as all calls on one must come in the same order on all ranks, those
 * of the calls that go on beside them. */
struct dist_comm {
    MPI_Comm comm, exchanges, shares;
};

_Static_assert(sizeof(MPI_Request) <= sizeof(((struct dist_request *)0)->handle),
               "a request fits its handle");

static struct dist_comm all_ranks; /* filled by dist_start() */

static enum err_code check(int result, const char *what, struct err *e)
{
    if (result == MPI_SUCCESS)
        return ERR_OK;
    char text[MPI_MAX_ERROR_STRING] = "unknown error";
    int length = 0;
    MPI_Error_string(result, text, &length);
    return err_set(e, ERR_COMM, "%s between the ranks failed: %s", what, text);
}

/* The same for a call that may have to wait for other ranks. */
#define WATCHED(call, what, e) (watchdog_enter(what), watchdog_leave(check((call), (what), (e))))

/* How many processes the launcher of this one says it started. */
struct launched {
    long count;           /* 0: it says nothing */
    const char *variable; /* where it says so */
};

static void ask(struct launched *l, const char *variable)
{
    const char *text = getenv(variable);
    long count = text ? strtol(text, NULL, 10) : 0;
    if (count > l->count)
        *l = (struct launched){count, variable};
}

/* SLURM_NTASKS alone is set in a batch script as well, whose own processes are single on purpose; and where a step has
 * a variable of its own, SLURM_NTASKS may be left of the job around it: in the shell of an salloc, or with
 * srun --preserve-env. An mpirun inside of a job counts its own processes, not those of the step that Slurm made for
 * it. */
static struct launched ask_launcher(void)
{
    struct launched l = {0};
    ask(&l, "OMPI_COMM_WORLD_SIZE");
    if (getenv("MPI_LOCALNRANKS")) /* of MPICH's mpirun, and of Intel MPI's */
        ask(&l, "PMI_SIZE");
    if (l.count > 1)
        return l;
    ask(&l, "SLURM_STEP_NUM_TASKS");
    bool step_says = l.variable != NULL;
    ask(&l, "PMI_SIZE");
    if (getenv("SLURM_STEP_ID") && !step_says)
        ask(&l, "SLURM_NTASKS");
    return l;
}

/* Open MPI takes SLURM_NODELIST for a sign that srun has started this process and, where it was built without support
 * for that, ends it: in a batch script, in the shell of an salloc. One process by itself needs no launcher. */
static void hide_job_from_mpi(const struct launched *l)
{
    static const char *const ranks[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"};
    for (size_t i = 0; i < sizeof ranks / sizeof *ranks; i++)
        if (getenv(ranks[i]))
            return;
    if (l->count <= 1)
        unsetenv("SLURM_NODELIST");
}

static enum err_code refuse_strangers(const struct dist *d, const struct launched *l, struct err *e)
{
    if (l->count <= 1 || l->count == d->world)
        return ERR_OK;
    char version[128], found[64] = "each of them is alone";
    dist_version(version, sizeof version);
    if (d->world > 1)
        snprintf(found, sizeof found, "only %d of them found each other", d->world);
    return err_set(e, ERR_COMM,
                   "the launcher started %ld processes (%s), but %s: launcher and MPI library "
                   "do not match. This program is built with %s: start it with that library's own mpirun, or "
                   "under Slurm with srun --mpi=pmix or, for MPICH, --mpi=pmi2 (srun --mpi=list shows the choices)",
                   l->count, l->variable, found, version);
}

static enum err_code find_neighbours(struct dist *d, struct err *e)
{
    MPI_Comm node;
    enum err_code code =
        check(MPI_Comm_split_type(d->comm->comm, MPI_COMM_TYPE_SHARED, d->rank, MPI_INFO_NULL, &node),
              "grouping by node", e);
    if (code)
        return code;
    MPI_Comm_rank(node, &d->node_rank);
    MPI_Comm_size(node, &d->node_ranks);
    MPI_Comm_free(&node);
    int leader = d->node_rank == 0;
    return check(MPI_Allreduce(&leader, &d->nodes, 1, MPI_INT, MPI_SUM, d->comm->comm), "counting nodes", e);
}

static enum err_code open_lanes(struct dist_comm *c, struct err *e)
{
    enum err_code code = check(MPI_Comm_dup(c->comm, &c->exchanges), "opening a lane", e);
    return code ? code : check(MPI_Comm_dup(c->comm, &c->shares), "opening a lane", e);
}

static void close_lanes(struct dist_comm *c)
{
    if (c->exchanges != MPI_COMM_NULL)
        MPI_Comm_free(&c->exchanges);
    if (c->shares != MPI_COMM_NULL)
        MPI_Comm_free(&c->shares);
}

enum err_code dist_start(struct dist *d, int *argc, char ***argv, struct err *e)
{
    *d = (struct dist){.world = 1};
    struct launched launched = ask_launcher(); /* before MPI sets variables of its own */
    hide_job_from_mpi(&launched);
    int provided = MPI_THREAD_SINGLE;
    enum err_code code =
        check(MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided), "the start of communication", e);
    if (code)
        return code;
    all_ranks = (struct dist_comm){MPI_COMM_WORLD, MPI_COMM_NULL, MPI_COMM_NULL};
    d->comm = &all_ranks;
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, &d->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &d->world);
    char host[MPI_MAX_PROCESSOR_NAME] = "";
    int length = 0;
    MPI_Get_processor_name(host, &length);
    snprintf(d->host, sizeof d->host, "%.127s", host);
    if (provided < MPI_THREAD_FUNNELED)
        return err_set(e, ERR_COMM, "this MPI library does not allow threads (MPI_THREAD_FUNNELED)");
    code = refuse_strangers(d, &launched, e);
    if (!code)
        code = open_lanes(d->comm, e);
    return code ? code : find_neighbours(d, e);
}

/* Collective. `type` as MPI_Comm_split_type() takes it; MPI_UNDEFINED: groups by number. */
static enum err_code split(struct dist *group, struct dist *d, int type, int number, struct err *e)
{
    *group = *d;
    group->comm = NULL;
    if (d->world == 1)
        return ERR_OK;
    enum err_code code = ERR_OK;
    struct dist_comm *comm = malloc(sizeof *comm);
    if (comm)
        *comm = (struct dist_comm){MPI_COMM_NULL, MPI_COMM_NULL, MPI_COMM_NULL};
    else
        code = err_set(e, ERR_MEMORY, "no memory for a group of ranks");
    code = dist_agree(d, code, e);
    assert(comm || code);
    if (!code)
        code = check(type == MPI_UNDEFINED
                         ? MPI_Comm_split(d->comm->comm, number, d->rank, &comm->comm)
                         : MPI_Comm_split_type(d->comm->comm, type, d->rank, MPI_INFO_NULL, &comm->comm),
                     "making groups", e);
    if (code) {
        free(comm);
        return code;
    }
    group->comm = comm;
    MPI_Comm_rank(comm->comm, &group->rank);
    MPI_Comm_size(comm->comm, &group->world);
    code = open_lanes(comm, e);
    if (!code)
        code = find_neighbours(group, e);
    return dist_agree(d, code, e);
}

enum err_code dist_split(struct dist *group, struct dist *d, int number, struct err *e)
{
    return split(group, d, MPI_UNDEFINED, number, e);
}

enum err_code dist_split_node(struct dist *group, struct dist *d, struct err *e)
{
    return split(group, d, MPI_COMM_TYPE_SHARED, 0, e);
}

void dist_split_release(struct dist *group)
{
    if (group->comm) {
        close_lanes(group->comm);
        MPI_Comm_free(&group->comm->comm);
    }
    free(group->comm);
    group->comm = NULL;
}

/* MPI_Finalize() of MPICH before 4.2 with UCX at times does not end, over TCP in half of all runs: a rank asks each
 * rank to which it has sent something whether all has arrived, and then waits at a barrier where it answers nobody. A
 * rank that was answered while the other one was not yet in MPI_Finalize() may be at that barrier when the other one
 * asks. So that nobody gets there before all have asked, each rank gets something to ask each other one about, and then
 * none answers for as long as they may take to come here. */
static void part_together(const struct dist *d)
{
    char library[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int length = 0, major = 0, minor = 0;
    MPI_Get_library_version(library, &length);
    if (d->world == 1 || !strstr(library, "ch4:ucx") ||
        sscanf(library, "MPICH Version: %d.%d", &major, &minor) != 2 || major > 4 || (major == 4 && minor >= 2))
        return;
    char sent = 0, received;
    for (int i = 1; i < d->world; i++)
        MPI_Sendrecv(&sent, 1, MPI_BYTE, (d->rank + i) % d->world, PARTING_TAG, &received, 1, MPI_BYTE,
                     (d->rank + d->world - i) % d->world, PARTING_TAG, all_ranks.comm, MPI_STATUS_IGNORE);
    nanosleep(&(struct timespec){.tv_nsec = PARTING_NANOSECONDS}, NULL);
}

void dist_stop(struct dist *d)
{
    int started = 0;
    MPI_Initialized(&started);
    if (started) {
        close_lanes(&all_ranks);
        part_together(d);
        MPI_Finalize();
    }
}

void dist_abort(struct dist *d, int status)
{
    (void)d;
    MPI_Abort(MPI_COMM_WORLD, status);
    _Exit(status);
}

enum err_code dist_agree(struct dist *d, enum err_code code, struct err *e)
{
    if (d->world == 1)
        return code;
    int failing = code ? d->rank : d->world, lowest = d->world;
    struct err trouble;
    if (WATCHED(MPI_Allreduce(&failing, &lowest, 1, MPI_INT, MPI_MIN, d->comm->comm), "agreeing on errors",
                &trouble)) {
        *e = trouble;
        return e->code;
    }
    if (lowest == d->world)
        return ERR_OK;
    return dist_broadcast(d, e, sizeof *e, lowest, &trouble) ? (*e = trouble, e->code) : e->code;
}

static enum err_code combine(struct dist *d, void *x, size_t count, MPI_Datatype type, size_t size, MPI_Op op,
                             struct err *e)
{
    if (d->world == 1)
        return ERR_OK;
    for (size_t done = 0; done < count;) {
        size_t part = count - done < PIECE ? count - done : PIECE;
        enum err_code code =
            WATCHED(MPI_Allreduce(MPI_IN_PLACE, (char *)x + done * size, (int)part, type, op, d->comm->comm),
                    "a sum", e);
        if (code)
            return code;
        done += part;
    }
    return ERR_OK;
}

enum err_code dist_sum_f32(struct dist *d, float *x, size_t count, struct err *e)
{
    return combine(d, x, count, MPI_FLOAT, sizeof *x, MPI_SUM, e);
}

enum err_code dist_sum_f64(struct dist *d, double *x, size_t count, struct err *e)
{
    return combine(d, x, count, MPI_DOUBLE, sizeof *x, MPI_SUM, e);
}

enum err_code dist_sum_u64(struct dist *d, uint64_t *x, size_t count, struct err *e)
{
    return combine(d, x, count, MPI_UINT64_T, sizeof *x, MPI_SUM, e);
}

static void flip_top_bits(uint64_t *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        x[i] ^= UINT64_C(1) << 63;
}

/* MPICH 4.0 compares numbers without a sign as if they had one. So they are compared as numbers with a sign, of the
 * same order. */
enum err_code dist_max_u64(struct dist *d, uint64_t *x, size_t count, struct err *e)
{
    flip_top_bits(x, count);
    enum err_code code = combine(d, x, count, MPI_INT64_T, sizeof *x, MPI_MAX, e);
    flip_top_bits(x, count);
    return code;
}

enum err_code dist_broadcast(struct dist *d, void *bytes, size_t length, int root, struct err *e)
{
    if (d->world == 1)
        return ERR_OK;
    for (size_t done = 0; done < length;) {
        size_t part = length - done < PIECE ? length - done : PIECE;
        enum err_code code = WATCHED(
            MPI_Bcast((char *)bytes + done, (int)part, MPI_BYTE, root, d->comm->comm), "a broadcast", e);
        if (code)
            return code;
        done += part;
    }
    return ERR_OK;
}

enum err_code dist_broadcast_block(struct dist *d, void **bytes, size_t *length, int root, struct err *e)
{
    uint64_t size = *length;
    enum err_code code = dist_broadcast(d, &size, sizeof size, root, e);
    if (code || d->rank == root) {
        code = dist_agree(d, code, e);
        return code ? code : dist_broadcast(d, *bytes, size, root, e);
    }
    *length = size;
    *bytes = malloc(size ? size : 1);
    if (!*bytes)
        code = err_set(e, ERR_MEMORY, "no memory for %zu bytes from rank %d", *length, root);
    code = dist_agree(d, code, e);
    if (!code)
        code = dist_broadcast(d, *bytes, size, root, e);
    if (code) {
        free(*bytes);
        *bytes = NULL;
    }
    return code;
}

/* One broadcast a rank rather than an MPI_Allgatherv, whose counts and displacements are ints. */
enum err_code dist_gather_all(struct dist *d, void **all, size_t *total, size_t *sizes, const void *mine,
                              size_t length, struct err *e)
{
    *all = NULL;
    *total = 0;
    enum err_code code = ERR_OK;
    uint64_t *lengths = calloc((size_t)d->world, sizeof *lengths);
    if (!lengths)
        code = err_set(e, ERR_MEMORY, "no memory for %d counts", d->world);
    code = dist_agree(d, code, e);
    assert(lengths || code);
    if (code)
        goto out;
    lengths[d->rank] = length;
    code = dist_sum_u64(d, lengths, (size_t)d->world, e);
    if (code)
        goto out;
    for (int r = 0; r < d->world; r++)
        *total += lengths[r];
    *all = malloc(*total ? *total : 1);
    if (!*all)
        code = err_set(e, ERR_MEMORY, "no memory for %zu bytes gathered from all ranks", *total);
    code = dist_agree(d, code, e);
    assert(*all || code);
    char *place = *all;
    for (int r = 0; r < d->world && !code; r++) {
        if (r == d->rank && length)
            memcpy(place, mine, length);
        code = dist_broadcast(d, place, lengths[r], r, e);
        place += lengths[r];
        if (sizes)
            sizes[r] = lengths[r];
    }
out:
    if (code) {
        free(*all);
        *all = NULL;
    }
    free(lengths);
    return code;
}

/* The result of a call that gave `request`, if it went well. */
static enum err_code start(struct dist_request *r, MPI_Request request, int result, const char *what,
                           struct err *e)
{
    enum err_code code = check(result, what, e);
    r->active = !code;
    memcpy(&r->handle, &request, sizeof request);
    return code;
}

enum err_code dist_exchange_start(struct dist *d, struct dist_request *r, float *received,
                                  const struct dist_pieces *got, const float *send,
                                  const struct dist_pieces *sent, struct err *e)
{
    MPI_Request request = MPI_REQUEST_NULL;
    int result = MPI_Ialltoallv(send, sent->lengths, sent->places, MPI_FLOAT, received, got->lengths,
                                got->places, MPI_FLOAT, d->comm->exchanges, &request);
    return start(r, request, result, "an exchange", e);
}

enum err_code dist_sum_start(struct dist *d, struct dist_request *r, float *x, size_t count, struct err *e)
{
    MPI_Request request = MPI_REQUEST_NULL;
    int result =
        MPI_Iallreduce(MPI_IN_PLACE, x, (int)count, MPI_FLOAT, MPI_SUM, d->comm->exchanges, &request);
    return start(r, request, result, "a sum", e);
}

enum err_code dist_share_start(struct dist *d, struct dist_request *r, float *x,
                               const struct dist_pieces *pieces, struct err *e)
{
    MPI_Request request = MPI_REQUEST_NULL;
    int result = MPI_Iallgatherv(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, x, pieces->lengths, pieces->places,
                                 MPI_FLOAT, d->comm->shares, &request);
    return start(r, request, result, "gathering", e);
}

static MPI_Request request_of(const struct dist_request *r)
{
    MPI_Request request;
    memcpy(&request, &r->handle, sizeof request);
    return request;
}

enum err_code dist_test(struct dist_request *r, bool *done, struct err *e)
{
    *done = !r->active;
    if (*done)
        return ERR_OK;
    int flag = 0;
    MPI_Request request = request_of(r);
    enum err_code code = check(MPI_Test(&request, &flag, MPI_STATUS_IGNORE), "the gradient's way", e);
    memcpy(&r->handle, &request, sizeof request);
    r->active = !code && !flag;
    *done = !r->active;
    return code;
}

enum err_code dist_wait(struct dist_request *r, struct err *e)
{
    if (!r->active)
        return ERR_OK;
    MPI_Request request = request_of(r);
    r->active = false;
    return WATCHED(MPI_Wait(&request, MPI_STATUS_IGNORE), "the gradient's way", e);
}

enum err_code dist_send_word(struct dist *d, int to, uint64_t word, struct err *e)
{
    return check(MPI_Send(&word, 1, MPI_UINT64_T, to, 0, d->comm->comm), "sending a word", e);
}

enum err_code dist_take_word(struct dist *d, bool *found, uint64_t *word, struct err *e)
{
    int there = 0;
    MPI_Status status;
    *found = false;
    if (d->world == 1)
        return ERR_OK;
    int result = MPI_Iprobe(MPI_ANY_SOURCE, 0, d->comm->comm, &there, &status);
    if (result == MPI_SUCCESS && there)
        result = MPI_Recv(word, 1, MPI_UINT64_T, status.MPI_SOURCE, 0, d->comm->comm, MPI_STATUS_IGNORE);
    *found = result == MPI_SUCCESS && there;
    return check(result, "taking a word", e);
}

void dist_version(char *text, size_t size)
{
    char version[MPI_MAX_LIBRARY_VERSION_STRING] = "";
    int length = 0;
    MPI_Get_library_version(version, &length);
    version[strcspn(version, "\n")] = '\0';
    char *v = strstr(version, "Open MPI v"), *mark = strstr(version, " Version:");
    if (v) {
        snprintf(text, size, "Open MPI %.*s", (int)strcspn(v + 10, ", "), v + 10);
    } else if (mark) { /* "MPICH Version:      4.0.2" */
        *mark = '\0';
        v = mark + strlen(" Version:");
        snprintf(text, size, "%s %s", version, v + strspn(v, " \t"));
    } else {
        snprintf(text, size, "%s", version);
    }
}
