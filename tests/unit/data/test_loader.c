/* The order of a run: batches, epochs, shuffling, ranks, and going on from a cursor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "data/examples/loader.h"
#include "data/examples/repeats.h"
#include "temp_file.h"
#include "tiny_tokenizer.h"

enum { EXAMPLES = 53, BATCH = 8, LIMIT = 64 };

static struct tokenizer *tokenizer;
static struct temp_folder folder;
static const char *path;
static struct dataset data;

/* Example i is i written with 2 to 40 digits, so that tokens tell which it is. */
static int set_up(void **state)
{
    (void)state;
    struct str text = {0};
    struct err e;
    for (int i = 0; i < EXAMPLES; i++)
        str_appendf(&text, &e, "{\"prompt\":\"\",\"completion\":\"%0*d\"}\n", 2 + i * 17 % 39, i);
    tokenizer = tiny_tokenizer_open(0);
    temp_make(&folder);
    path = temp_write(&folder, "data.jsonl", text.data, text.length);
    str_release(&text);
    const struct example_options options = {.max_length = 64};
    return dataset_open(&data, &path, 1, tokenizer, &options, false, &e) ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    dataset_close(&data);
    tokenizer_close(tokenizer);
    temp_remove(&folder);
    return 0;
}

static struct loader_options usual(void)
{
    return (struct loader_options){.batch_size = BATCH, .pack_tokens = LIMIT, .world = 1, .seed = 5};
}

static void open_loader(struct loader *l, const struct loader_options *options)
{
    struct err e;
    if (loader_open(l, &data, options, &e))
        fail_msg("%s", e.message);
}

static void next(struct loader *l)
{
    struct err e;
    assert_int_equal(loader_next(l, &e), ERR_OK);
}

/* Which example the pack's example `i` is, read from its tokens. */
static uint64_t example_in_pack(const struct pack *p, size_t i)
{
    uint64_t number = 0;
    for (uint32_t k = p->offsets[i]; k < p->offsets[i + 1] - 1; k++)
        number = 10 * number + (uint64_t)(p->tokens[k] - '0');
    assert_int_equal(p->tokens[p->offsets[i + 1] - 1], TINY_EOS);
    return number;
}

static void test_epochs_in_file_order(void **state)
{
    (void)state;
    struct loader l;
    const struct loader_options options = usual();
    open_loader(&l, &options);
    assert_int_equal(batcher_batches(EXAMPLES, BATCH), 7);
    uint64_t sample = 0;
    for (int epoch = 0; epoch < 3; epoch++)
        for (size_t batch = 0; batch < 7; batch++) {
            next(&l);
            size_t expected = batch < 6 ? BATCH : EXAMPLES - 6 * BATCH; /* batches do not cross epochs */
            assert_int_equal(l.batch.examples, expected);
            assert_int_equal(l.batch.first, sample);
            uint64_t tokens = 0;
            for (size_t i = 0; i < l.batch.examples; i++, sample++) {
                assert_int_equal(l.batch.index[i], sample % EXAMPLES);
                assert_int_equal(l.batch.lengths[i], data.entries[sample % EXAMPLES].tokens);
                tokens += l.batch.lengths[i];
            }
            assert_int_equal(l.batch.tokens, tokens);
            assert_int_equal(l.batch.supervised, tokens - l.batch.examples); /* all but each first token */
            assert_int_equal(l.batch.cursor, sample);
        }
    loader_close(&l);
}

static void test_exact_epochs(void **state)
{
    (void)state;
    struct loader l;
    struct loader_options options = usual();
    options.batch_size = EXAMPLES;
    open_loader(&l, &options);
    assert_int_equal(batcher_batches(EXAMPLES, EXAMPLES), 1);
    for (int epoch = 0; epoch < 2; epoch++) {
        next(&l);
        assert_int_equal(l.batch.examples, EXAMPLES);
    }
    loader_close(&l);

    options.batch_size = 1000 * EXAMPLES; /* more than there are: an epoch is one batch */
    open_loader(&l, &options);
    next(&l);
    assert_int_equal(l.batch.examples, EXAMPLES);
    loader_close(&l);
}

/* Packs hold what the plan says, in the order that it says, with the number of each sample. */
static void test_packs(void **state)
{
    (void)state;
    struct loader l;
    struct err e;
    struct loader_options options = usual();
    options.shuffle = true;
    open_loader(&l, &options);
    assert_true(l.pack.token_capacity <= LIMIT);
    for (int batch = 0; batch < 20; batch++) {
        next(&l);
        unsigned char seen[BATCH] = {0};
        uint64_t tokens = 0, supervised = 0;
        for (size_t number = 0; number < l.batch.plan.pack_count; number++) {
            assert_int_equal(loader_pack(&l, number, &e), ERR_OK);
            const struct pack *p = &l.pack;
            assert_true(p->token_count <= LIMIT);
            for (size_t i = 0; i < p->example_count; i++) {
                uint64_t at = p->samples[i] - l.batch.first;
                assert_true(at < l.batch.examples && !seen[at]++);
                assert_int_equal(example_in_pack(p, i), l.batch.index[at]);
                assert_int_equal(p->positions[p->offsets[i]], 0);
                assert_int_equal(p->supervised[p->offsets[i]], 0);
            }
            tokens += p->token_count;
            supervised += p->supervised_count;
        }
        for (size_t i = 0; i < l.batch.examples; i++)
            assert_true(seen[i]);
        assert_int_equal(tokens, l.batch.tokens);
        assert_int_equal(supervised, l.batch.supervised);
    }
    loader_close(&l);
}

static void run_epoch(uint64_t order[EXAMPLES], struct loader *l)
{
    unsigned char seen[EXAMPLES] = {0};
    size_t done = 0;
    while (done < EXAMPLES) {
        next(l);
        for (size_t i = 0; i < l->batch.examples; i++) {
            assert_true(l->batch.index[i] < EXAMPLES && !seen[l->batch.index[i]]++);
            order[done++] = l->batch.index[i];
        }
    }
}

static void test_shuffle(void **state)
{
    (void)state;
    uint64_t first[EXAMPLES], second[EXAMPLES], again[EXAMPLES], other[EXAMPLES], in_order[EXAMPLES];
    struct loader l;
    struct loader_options options = usual();
    open_loader(&l, &options);
    run_epoch(in_order, &l);
    loader_close(&l);

    options.shuffle = true;
    open_loader(&l, &options);
    run_epoch(first, &l);
    run_epoch(second, &l);
    loader_close(&l);
    assert_memory_not_equal(first, in_order, sizeof first);
    assert_memory_not_equal(first, second, sizeof first);

    options.batch_size = 5; /* the order is the epoch's, not the batches' */
    open_loader(&l, &options);
    run_epoch(again, &l);
    loader_close(&l);
    assert_memory_equal(first, again, sizeof first);

    options.seed++;
    open_loader(&l, &options);
    run_epoch(other, &l);
    loader_close(&l);
    assert_memory_not_equal(first, other, sizeof first);
}

/* Every rank plans the same packs; their shares make up the whole. */
static void test_ranks(void **state)
{
    (void)state;
    for (size_t world = 2; world <= 5; world++) {
        struct loader one, ranks[5];
        struct loader_options options = usual();
        options.shuffle = true;
        open_loader(&one, &options);
        options.world = world;
        for (options.rank = 0; options.rank < world; options.rank++)
            open_loader(&ranks[options.rank], &options);
        for (int batch = 0; batch < 15; batch++) {
            next(&one);
            size_t at = 0;
            for (size_t rank = 0; rank < world; rank++) {
                struct loader *l = &ranks[rank];
                next(l);
                assert_int_equal(l->batch.plan.pack_count, one.batch.plan.pack_count);
                assert_int_equal(l->batch.examples, one.batch.examples);
                assert_memory_equal(l->batch.index, one.batch.index, one.batch.examples * sizeof(uint64_t));
                assert_memory_equal(l->batch.plan.order, one.batch.plan.order,
                                    one.batch.examples * sizeof(uint32_t));
                assert_memory_equal(l->batch.plan.first, one.batch.plan.first,
                                    (one.batch.plan.pack_count + 1) * sizeof(uint32_t));
                assert_int_equal(l->batch.pack_begin, at);
                at = l->batch.pack_end;
            }
            assert_int_equal(at, one.batch.plan.pack_count);
            assert_true(one.batch.pack_begin == 0 && one.batch.pack_end == at);
        }
        loader_close(&one);
        for (size_t rank = 0; rank < world; rank++)
            loader_close(&ranks[rank]);
    }
}

/* A loader whose cursor is set goes on as the one that never stopped, on any number of ranks. */
static void test_resume(void **state)
{
    (void)state;
    struct loader_options options = usual();
    options.shuffle = true;
    for (int stop = 0; stop <= 15; stop++) {
        struct loader whole, resumed;
        struct err e;
        open_loader(&whole, &options);
        for (int i = 0; i < stop; i++)
            next(&whole);
        struct loader_options others = options;
        others.world = 3;
        others.rank = 1;
        open_loader(&resumed, &others);
        resumed.batch.cursor = whole.batch.cursor;
        for (int i = 0; i < 10; i++) {
            next(&whole);
            next(&resumed);
            assert_int_equal(whole.batch.cursor, resumed.batch.cursor);
            assert_int_equal(whole.batch.first, resumed.batch.first);
            assert_int_equal(whole.batch.examples, resumed.batch.examples);
            assert_memory_equal(whole.batch.index, resumed.batch.index,
                                whole.batch.examples * sizeof(uint64_t));
            assert_int_equal(loader_pack(&whole, 0, &e), ERR_OK);
            assert_int_equal(loader_pack(&resumed, 0, &e), ERR_OK);
            assert_int_equal(whole.pack.token_count, resumed.pack.token_count);
            assert_memory_equal(whole.pack.tokens, resumed.pack.tokens,
                                whole.pack.token_count * sizeof(int32_t));
            assert_memory_equal(whole.pack.samples, resumed.pack.samples,
                                whole.pack.example_count * sizeof(uint64_t));
        }
        loader_close(&whole);
        loader_close(&resumed);
    }
}

static void expect_same_pack(struct loader *ahead, struct loader *plain, size_t number)
{
    struct err e;
    assert_int_equal(loader_pack(plain, number, &e), ERR_OK);
    assert_int_equal(loader_pack(ahead, number, &e), ERR_OK);
    const struct pack *p = &ahead->pack, *q = &plain->pack;
    assert_int_equal(p->token_count, q->token_count);
    assert_int_equal(p->example_count, q->example_count);
    assert_int_equal(p->supervised_count, q->supervised_count);
    assert_memory_equal(p->tokens, q->tokens, q->token_count * sizeof *q->tokens);
    assert_memory_equal(p->positions, q->positions, q->token_count * sizeof *q->positions);
    assert_memory_equal(p->supervised, q->supervised, q->token_count);
    assert_memory_equal(p->offsets, q->offsets, (q->example_count + 1) * sizeof *q->offsets);
    assert_memory_equal(p->samples, q->samples, q->example_count * sizeof *q->samples);
}

/* Packs that a thread has read are those that are read when asked for: through epochs, on ranks with many
 * packs and with none, with packs left out, asked for twice or of other ranks, and when the cursor jumps. */
static void test_read_ahead(void **state)
{
    (void)state;
    for (size_t world = 1; world <= 12; world += world < 3 ? 1 : 9) {
        for (size_t rank = 0; rank < world; rank += 3) {
            struct loader plain, ahead;
            struct loader_options options = usual();
            options.shuffle = true;
            options.world = world;
            options.rank = rank;
            open_loader(&plain, &options);
            options.read_ahead = true;
            open_loader(&ahead, &options);
            for (int batch = 0; batch < 40; batch++) {
                if (batch == 20)
                    plain.batch.cursor = ahead.batch.cursor = 2 * BATCH;
                next(&plain);
                next(&ahead);
                for (size_t i = plain.batch.pack_begin; i < plain.batch.pack_end; i++)
                    if (batch % 5 != 4 || i % 2)
                        expect_same_pack(&ahead, &plain, i);
                if (batch % 7 == 6) {
                    expect_same_pack(&ahead, &plain, plain.batch.plan.pack_count - 1);
                    expect_same_pack(&ahead, &plain, 0);
                }
            }
            loader_close(&ahead);
            loader_close(&plain);
        }
    }
}

/* Conversations, rendered and tokenised by two threads of loaders and by this one, with one tokenizer, template and
 * dataset in common. */
static void test_conversations_ahead(void **state)
{
    (void)state;
    struct str text = {0};
    struct err e;
    for (int i = 0; i < EXAMPLES; i++)
        str_appendf(&text, &e,
                    "{\"messages\":[{\"role\":\"user\",\"content\":\"%0*d\"},"
                    "{\"role\":\"assistant\",\"content\":\"hh %d\\nh\"}]}\n",
                    2 + i * 17 % 39, i, i);
    const char *chats = temp_write(&folder, "chats.jsonl", text.data, text.length);
    str_release(&text);
    struct chat *chat = tiny_chat_open(tokenizer);
    struct dataset conversations;
    const struct example_options options = {.max_length = 512, .chat = chat};
    assert_int_equal(dataset_open(&conversations, &chats, 1, tokenizer, &options, false, &e), ERR_OK);
    struct loader_options plain_options = usual(), ahead_options;
    plain_options.pack_tokens = 512;
    ahead_options = plain_options;
    ahead_options.read_ahead = true;
    struct loader plain, ahead[2];
    assert_int_equal(loader_open(&plain, &conversations, &plain_options, &e), ERR_OK);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(loader_open(&ahead[i], &conversations, &ahead_options, &e), ERR_OK);
    for (int batch = 0; batch < 14; batch++) {
        next(&plain);
        for (size_t i = 0; i < 2; i++)
            next(&ahead[i]);
        for (size_t k = 0; k < plain.batch.plan.pack_count; k++)
            for (size_t i = 0; i < 2; i++)
                expect_same_pack(&ahead[i], &plain, k);
    }
    loader_close(&plain);
    for (size_t i = 0; i < 2; i++)
        loader_close(&ahead[i]);
    dataset_close(&conversations);
    chat_close(chat);
}

/* As an evaluation does it: from the beginning to the end, again and again. */
static void test_read_ahead_to_an_end(void **state)
{
    (void)state;
    struct loader plain, ahead;
    struct loader_options options = usual();
    open_loader(&plain, &options);
    options.read_ahead = true;
    options.end = EXAMPLES;
    open_loader(&ahead, &options);
    for (int round = 0; round < 3; round++) {
        plain.batch.cursor = ahead.batch.cursor = 0;
        while (plain.batch.cursor < EXAMPLES) {
            next(&plain);
            next(&ahead);
            for (size_t i = 0; i < plain.batch.plan.pack_count; i++)
                expect_same_pack(&ahead, &plain, i);
        }
    }
    next(&plain); /* and after it, without the thread */
    next(&ahead);
    expect_same_pack(&ahead, &plain, 0);
    loader_close(&ahead);
    loader_close(&plain);
}

/* A line that changes while the run goes on is an error of the pack that it is in, and of no other. */
static void test_error_ahead(void **state)
{
    (void)state;
    const size_t bad = 2 * BATCH + 3;
    struct loader l;
    struct err e;
    struct loader_options options = usual();
    options.read_ahead = true;
    open_loader(&l, &options);
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, (long)data.entries[bad].offset, SEEK_SET), 0);
    fputc('!', file);
    fflush(file);
    size_t errors = 0;
    for (int batch = 0; batch < 5; batch++) {
        next(&l);
        for (size_t i = l.batch.pack_begin; i < l.batch.pack_end; i++) {
            enum err_code code = loader_pack(&l, i, &e);
            bool holds_it = false;
            for (uint32_t k = l.batch.plan.first[i]; k < l.batch.plan.first[i + 1]; k++)
                holds_it |= l.batch.index[l.batch.plan.order[k]] == bad;
            assert_int_equal(code, holds_it ? ERR_MISMATCH : ERR_OK);
            if (code)
                assert_non_null(strstr(e.message, "data.jsonl:20: this line has changed"));
            errors += code != ERR_OK;
        }
    }
    assert_int_equal(errors, 1);
    assert_int_equal(fseek(file, (long)data.entries[bad].offset, SEEK_SET), 0);
    fputc('{', file);
    fclose(file);
    loader_close(&l);
}

/* Pair i is i written with 2 to 20 digits, with a chosen answer of one token more than the rejected one. */
static void open_pairs(struct dataset *d, const char **pairs_path, bool shares)
{
    struct str text = {0};
    struct err e;
    for (int i = 0; i < EXAMPLES; i++)
        assert_int_equal(str_appendf(&text, &e, "{\"prompt\":\"%0*d\",\"chosen\":\"yes\",\"rejected\":\"no\"}\n",
                                     2 + i * 17 % 19, i),
                         ERR_OK);
    *pairs_path = temp_write(&folder, "pairs.jsonl", text.data, text.length);
    str_release(&text);
    const struct example_options options = {.max_length = 64, .pairs = PAIRS_ALONE, .shares = shares};
    if (dataset_open(d, pairs_path, 1, tokenizer, &options, false, &e))
        fail_msg("%s", e.message);
}

/* A pack of whole pairs: two sequences each, one after the other, under one number; if they share their prompt, it is
 * in the first of them. */
static size_t check_pairs(const struct loader *l, bool shares)
{
    const struct pack *p = &l->pack;
    size_t repeated = 0;
    assert_int_equal(p->example_count % 2, 0);
    for (size_t i = 0; i < p->example_count; i += 2) {
        const uint32_t chosen = p->offsets[i], rejected = p->offsets[i + 1], end = p->offsets[i + 2];
        const uint32_t prompt = rejected - chosen - 4; /* without "yes" and EOS */
        const uint32_t answer = shares ? rejected : rejected + prompt;
        assert_int_equal(end - answer, 3);
        assert_true(p->prefixes[i] == 0 && p->prefixes[i + 1] == (shares ? prompt : 0));
        if (!shares) {
            assert_memory_equal(p->tokens + chosen, p->tokens + rejected, prompt * sizeof *p->tokens);
            assert_true(p->positions[rejected] == 0 && !p->supervised[answer - 1]);
        }
        assert_true(p->tokens[chosen + prompt] == 'y' && p->tokens[answer] == 'n');
        assert_true(p->positions[answer] == (int32_t)prompt && p->positions[end - 1] == (int32_t)prompt + 2);
        assert_true(p->samples[i] == p->samples[i + 1]);
        assert_true(p->supervised[answer]);
        repeated += p->prefixes[i + 1];
    }
    assert_int_equal(p->repeated, repeated);
    return p->example_count / 2;
}

static void check_pairs_of_ranks(bool shares)
{
    struct dataset pairs;
    const char *pairs_path;
    struct err e;
    open_pairs(&pairs, &pairs_path, shares);
    assert_int_equal(pairs.entries[3].chosen, 4);
    assert_int_equal(pairs.entries[3].supervised, 7);
    for (size_t world = 1; world < 4; world++) {
        size_t seen = 0;
        for (size_t rank = 0; rank < world; rank++) {
            struct loader_options options = usual();
            struct loader l;
            options.shuffle = options.read_ahead = true;
            options.rank = rank;
            options.world = world;
            assert_int_equal(loader_open(&l, &pairs, &options, &e), ERR_OK);
            assert_int_equal(l.batch.longest, (shares ? 1 : 2) * 20 + 7);
            assert_int_equal(l.batch.sequence, l.batch.longest); /* a bound: the longer side is not kept */
            for (size_t batch = 0; batch < 7; batch++) {
                next(&l);
                assert_int_equal(l.batch.chosen, 4 * l.batch.examples);
                assert_int_equal(l.batch.supervised, 7 * l.batch.examples);
                for (size_t k = l.batch.pack_begin; k < l.batch.pack_end; k++) {
                    assert_int_equal(loader_pack(&l, k, &e), ERR_OK);
                    seen += check_pairs(&l, shares);
                }
            }
            loader_close(&l);
        }
        assert_int_equal(seen, EXAMPLES);
    }
    dataset_close(&pairs);
}

static void test_pairs(void **state)
{
    (void)state;
    check_pairs_of_ranks(false);
}

static void test_pairs_that_share_their_prompt(void **state)
{
    (void)state;
    check_pairs_of_ranks(true);
}

/* The tokens of pairs that share their prompt may be the same in the same order, and the pairs others: what they share
 * may be longer, or the chosen answer, if there is an EOS within. */
static void test_repeated_pairs(void **state)
{
    (void)state;
    static const char text[] = "{\"prompt\":\"ab\",\"chosen\":\"c\",\"rejected\":\"d\"}\n"
                               "{\"prompt\":\"a\",\"chosen\":\"bc\",\"rejected\":\"d\"}\n"
                               "{\"prompt\":\"ab\",\"chosen\":\"c\",\"rejected\":\"d\"}\n"
                               "{\"prompt\":\"a\",\"chosen\":\"b\",\"rejected\":\"c<|eos|>d\"}\n"
                               "{\"prompt\":\"a\",\"chosen\":\"b<|eos|>c\",\"rejected\":\"d\"}\n";
    const char *twins = temp_write(&folder, "twins.jsonl", text, strlen(text));
    const struct example_options options = {.max_length = 64, .pairs = PAIRS_ALONE, .shares = true};
    struct dataset d;
    struct err e;
    struct repeats r;
    struct example pairs[2] = {0};
    struct example_scratch scratch = {0};
    assert_int_equal(dataset_init(&d, &twins, 1, tokenizer, &options, false, &e), ERR_OK);
    dataset_keep_prints(&d);
    assert_int_equal(dataset_fill(&d, &e), ERR_OK);
    assert_true(d.entries[0].tokens == 6 && d.entries[1].tokens == 6);
    assert_int_equal(repeats_find(&r, &d, &e), ERR_OK);
    assert_true(r.count == 1 && r.first == 2 && r.of == 0);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(dataset_read(&pairs[i], &scratch, &d, 3 + i, &e), ERR_OK);
    assert_true(pairs[0].split == 3 && pairs[1].split == 5 && pairs[0].shared == 1 && pairs[1].shared == 1);
    assert_true(pairs[0].count == 7 && pairs[1].count == 7);
    assert_memory_equal(pairs[0].tokens, pairs[1].tokens, 7 * sizeof *pairs[0].tokens);
    for (size_t i = 0; i < 2; i++)
        example_release(&pairs[i]);
    example_scratch_release(&scratch);
    dataset_close(&d);
}

static void test_refused(void **state)
{
    (void)state;
    struct loader l;
    struct err e;
    struct loader_options options = usual();
    options.pack_tokens = 40; /* the longest example has 40 digits and EOS */
    assert_int_equal(loader_open(&l, &data, &options, &e), ERR_USAGE);
    assert_non_null(strstr(e.message, "data.jsonl:17: "));
    assert_non_null(strstr(e.message, "--micro-batch-tokens"));
    options.pack_tokens = 41;
    open_loader(&l, &options);
    loader_close(&l);
    options.batch_size = 0;
    assert_int_equal(loader_open(&l, &data, &options, &e), ERR_USAGE);
    assert_non_null(strstr(e.message, "--batch-size"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_epochs_in_file_order),
        cmocka_unit_test(test_exact_epochs),
        cmocka_unit_test(test_packs),
        cmocka_unit_test(test_shuffle),
        cmocka_unit_test(test_ranks),
        cmocka_unit_test(test_resume),
        cmocka_unit_test(test_read_ahead),
        cmocka_unit_test(test_conversations_ahead),
        cmocka_unit_test(test_read_ahead_to_an_end),
        cmocka_unit_test(test_error_ahead),
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_pairs_that_share_their_prompt),
        cmocka_unit_test(test_repeated_pairs),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
