/* The bytes that a plan says a rank sends, against those that the ranks hand to MPI. */
#include "mpi_unit.h"

#include <mpi.h>

#include "data/examples/pack.h"
#include "small_lora.h"
#include "bench/plan.h"
#include "ranks/reduce.h"

static uint64_t sent; /* floats of this rank for others */

/* In the place of MPI's own functions, which they call. */
int MPI_Ialltoallv(const void *send, const int send_counts[], const int send_places[], MPI_Datatype send_type,
                   void *received, const int counts[], const int places[], MPI_Datatype type, MPI_Comm comm,
                   MPI_Request *request)
{
    for (int r = 0; r < ranks.world; r++)
        sent += r == ranks.rank ? 0 : (uint64_t)send_counts[r];
    return PMPI_Ialltoallv(send, send_counts, send_places, send_type, received, counts, places, type, comm,
                           request);
}

int MPI_Iallgatherv(const void *send, int send_count, MPI_Datatype send_type, void *received,
                    const int counts[], const int places[], MPI_Datatype type, MPI_Comm comm,
                    MPI_Request *request)
{
    sent += (uint64_t)counts[ranks.rank] * (uint64_t)(ranks.world - 1);
    return PMPI_Iallgatherv(send, send_count, send_type, received, counts, places, type, comm, request);
}

static void run_batch(struct reduce *r, size_t packs)
{
    struct err e;
    const float *grads;
    size_t begin, end;
    reduce_begin(r, packs);
    pack_share(&begin, &end, packs, (size_t)ranks.rank, (size_t)ranks.world);
    for (size_t pack = begin; pack < end; pack++) {
        reduce_pack_begin(r, pack);
        reduce_pack_end(r);
    }
    expect(reduce_finish(r, &grads, &e) == ERR_OK);
}

static void planned_bytes_are_sent(void **state)
{
    (void)state;
    struct lora l;
    struct reduce r;
    struct arena arena = {0};
    struct err e;
    small_make(&l, "q_proj", 2000, 1);
    const struct plan_part part = {.count = l.layout.size};
    struct plan_facts facts = {.adapter = l.layout.size,
                               .parts = &part,
                               .pack_seconds = 1,
                               .ranks_per_node = 1,
                               .link = {.rate = 1e9}};
    assert_ok(reduce_init(&r, &l.layout, &ranks, 33, false, &arena, &e), &e);
    for (facts.batch_packs = 1; facts.batch_packs <= 33; facts.batch_packs += 4) {
        struct plan_row row;
        struct reduce_traffic t;
        uint64_t most;
        sent = 0;
        run_batch(&r, facts.batch_packs);
        plan_predict(&row, &facts, (size_t)ranks.world);
        reduce_count_traffic(&t, l.layout.size, facts.batch_packs, (size_t)ranks.world, false);
        most = sent * sizeof(float);
        expect(dist_max_u64(&ranks, &most, 1, &e) == ERR_OK);
        /* slices of a bucket differ by a float */
        double slack = (double)(t.buckets * (size_t)ranks.world * (t.subtrees + 1) * sizeof(float));
        expect(row.sent >= (double)most - slack && row.sent <= (double)most + slack);
        expect(ranks.world == 1 ? most == 0 : slack < row.sent / 1000);
        expect(row.sent == (double)reduce_sent_bytes(&r));
        expect(ranks.world == 1 || (r.buckets == t.buckets && r.bucket == t.bucket));
        expect(r.depth >= t.depth);
    }
    arena_release(&arena);
    lora_release(&l);
    agree();
}

static const struct CMUnitTest tests[] = {cmocka_unit_test(planned_bytes_are_sent)};
MPI_UNIT_MAIN(tests)
