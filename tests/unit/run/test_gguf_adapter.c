/* GGUF adapters: rows of B lie as in a model's GGUF file, one alpha says every scaling, what is written reads back,
 * and what llama.cpp or this program cannot apply is refused by name. */
#include "small_lora.h"

#include <math.h>

#include "base/file.h"
#include "io/store/store.h"
#include "model/lora_init.h"
#include "run/adapter.h"
#include "run/export/gguf_adapter.h"
#include "scratch.h"

SCRATCH_OF_GROUP(folder, open_folder, close_folder)

static const char *file(void)
{
    return scratch_path(&folder, "adapter.gguf");
}

static void expect_refused(const struct arch *a, enum err_code code, const char *text)
{
    struct lora l;
    struct err e;
    assert_error(gguf_adapter_read(&l, a, file(), NULL, &e), &e, code, text);
}

static void write_read(struct lora *again, const struct lora *l, const struct arch *a)
{
    struct err e;
    const struct adapter_check check = {.model = "", .base_hash = "another"}; /* of another form, perhaps */
    assert_ok(gguf_adapter_write(file(), l, a, &small_base, &e), &e);
    assert_ok(adapter_load(again, a, file(), &check, &e), &e);
    assert_int_equal(again->layout.count, l->layout.count);
    assert_int_equal(again->layout.size, l->layout.size);
}

static void one_scaling_reads_back_to_the_bit(void **state)
{
    (void)state;
    static const char *const targets[] = {NULL, "q_proj,lm_head", ".*layers\\.(1|11)\\..*_proj", "lm_head"};
    for (size_t t = 0; t < sizeof targets / sizeof *targets; t++) {
        struct lora l, again;
        small_make(&l, targets[t], 3, 32);
        write_read(&again, &l, &small_arch);
        small_equal(again.params, l.params, l.layout.size);
        for (size_t i = 0; i < l.layout.count; i++)
            assert_true(again.layout.modules[i].scaling == l.layout.modules[i].scaling);
        lora_release(&again);
        lora_release(&l);
    }
}

/* What a module adds is the same, to rounding: scaling * B. */
static void expect_same_products(const struct lora *again, const struct lora *l)
{
    for (size_t i = 0; i < l->layout.count; i++) {
        const struct lora_module *m = &l->layout.modules[i], *n = lora_find(&again->layout, m->path);
        assert_non_null(n);
        assert_int_equal(n->rank, m->rank);
        small_equal(again->params + n->a, l->params + m->a, m->rank * m->in);
        for (size_t k = 0; k < m->out * m->rank; k++) {
            float want = m->scaling * l->params[m->b + k], got = n->scaling * again->params[n->b + k];
            assert_true(fabsf(want - got) <= 1e-6F * fabsf(want));
        }
    }
}

static void scalings_that_differ_are_in_b(void **state)
{
    (void)state;
    struct lora l, again;
    struct err e;
    const struct lora_given given[] = {{"model.layers.1.mlp.up_proj", 2, 3},
                                       {"model.layers.11.mlp.up_proj", 4, 3},
                                       {"model.layers.2.mlp.up_proj", 2, 0.1},
                                       {"model.layers.3.mlp.up_proj", 5, -16 / 2.2360679774997896}};
    assert_ok(lora_create_given(&l, &small_arch, given, 4, &e), &e);
    small_fill(l.params, l.layout.size, 1);
    write_read(&again, &l, &small_arch);
    assert_true(again.layout.modules[0].scaling == 3); /* alpha 6, as the first module's */
    assert_true(again.layout.modules[3].scaling == 6 / 4.F);
    expect_same_products(&again, &l);
    lora_release(&again);
    lora_release(&l);
}

static void a_changed_base_is_undone(void **state)
{
    (void)state;
    struct lora l, wide, again;
    struct err e;
    small_make(&l, "k_proj,down_proj", 2, 8);
    assert_ok(lora_start_buffer(&l, &e), &e);
    small_fill(l.start, l.layout.size, 9);
    assert_ok(lora_widen(&wide, &l, &small_arch, &e), &e);
    assert_ok(gguf_adapter_write(file(), &l, &small_arch, &small_base, &e), &e);
    struct export_notes of;
    assert_ok(gguf_adapter_read(&again, &small_arch, file(), &of, &e), &e);
    small_expect_notes(&of);
    expect_same_products(&again, &wide);
    lora_release(&again);
    lora_release(&wide);
    lora_release(&l);
}

/* B of a module as the file has it: its first number of each row. */
static void expect_rows(const struct lora *l, const char *module, const char *tensor, const size_t *rows)
{
    struct store s;
    struct err e;
    const struct lora_module *m = lora_find(&l->layout, module);
    const struct store_tensor *t;
    assert_non_null(m);
    assert_ok(store_open(&s, file(), &e), &e);
    assert_ok(store_require(&t, &s, tensor, &e), &e);
    assert_true(t->dims == 2 && t->shape[0] == m->out && t->shape[1] == m->rank);
    for (size_t i = 0; i < m->out; i++)
        assert_true(((const float *)t->data)[i * m->rank] == l->params[m->b + rows[i] * m->rank]);
    store_close(&s);
}

/* Heads of four: Llama's file has the two halves of each head in turn, and its v as it is. */
static void rows_lie_as_in_a_models_file(void **state)
{
    (void)state;
    struct lora l, again;
    small_make(&l, "q_proj,v_proj", 2, 4);
    write_read(&again, &l, &small_arch);
    expect_rows(&l, "model.layers.3.self_attn.q_proj", "blk.3.attn_q.weight.lora_b",
                (size_t[]){0, 2, 1, 3, 4, 6, 5, 7});
    expect_rows(&l, "model.layers.3.self_attn.v_proj", "blk.3.attn_v.weight.lora_b", (size_t[]){0, 1, 2, 3});
    small_equal(again.params, l.params, l.layout.size);
    lora_release(&again);
    lora_release(&l);
}

/* Of two heads of two: a head's query, key and value after another; the file has queries, keys and values. */
static void sorted_rows_lie_as_in_a_models_file(void **state)
{
    (void)state;
    const struct arch a = {.family = &family_gpt_neox,
                           .layers = 1,
                           .width = 4,
                           .ffn = 4,
                           .heads = 2,
                           .kv_heads = 2,
                           .head_dim = 2,
                           .vocab = 4,
                           .grouped_qkv = true};
    const struct lora_given given = {"gpt_neox.layers.0.attention.query_key_value", 2, 1};
    struct lora l, again;
    struct err e;
    assert_ok(lora_create_given(&l, &a, &given, 1, &e), &e);
    small_fill(l.params, l.layout.size, 1);
    write_read(&again, &l, &a);
    expect_rows(&l, given.path, "blk.0.attn_qkv.weight.lora_b",
                (size_t[]){0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11});
    small_equal(again.params, l.params, l.layout.size);
    lora_release(&again);
    lora_release(&l);
}

/* Mistral's files are Llama's for llama.cpp; the names are the decoder's own, not those of what is around it. */
static void a_family_goes_by_llama_cpps_name(void **state)
{
    (void)state;
    struct arch mistral = small_arch, wrapped;
    struct lora l, again;
    struct err e;
    mistral.family = &family_mistral;
    small_make(&l, "q_proj", 2, 4);
    write_read(&again, &l, &mistral);
    expect_rows(&l, "model.layers.3.self_attn.q_proj", "blk.3.attn_q.weight.lora_b",
                (size_t[]){0, 2, 1, 3, 4, 6, 5, 7});
    lora_release(&again);
    assert_ok(gguf_adapter_read(&again, &small_arch, file(), NULL, &e), &e);
    lora_release(&again);
    wrapped = mistral;
    wrapped.wrapper = wrappers;
    while (strcmp(wrapped.wrapper->name, "mistral3") != 0)
        wrapped.wrapper++;
    assert_string_equal(arch_gguf_name(&wrapped), "mistral3");
    expect_refused(&wrapped, ERR_MISMATCH, "general.architecture is \"llama\", not \"mistral3\"");
    lora_release(&l);
}

/* ---- files of other programs ---- */

struct parts {
    const char *type, *architecture, *adapter_type, *more; /* NULL: without this key */
    float alpha;
    const char *names[3]; /* of tensors [2, 8], [4, 2], [1, 1] */
    float value;          /* of number 7 of each */
};
static const struct parts right = {
    "adapter", "llama", "lora", NULL, 6, {"blk.1.attn_k.weight.lora_a", "blk.1.attn_k.weight.lora_b"}, 1};

static void write_parts(const struct parts *p)
{
    struct err e;
    struct store_key keys[5];
    size_t count = 0, tensors = 0;
    const char *const texts[][2] = {{"general.type", p->type},
                                    {"general.architecture", p->architecture},
                                    {"adapter.type", p->adapter_type}};
    for (size_t i = 0; i < 3; i++)
        if (texts[i][1])
            keys[count++] = (struct store_key){texts[i][0], texts[i][1], 0};
    if (p->alpha != 0)
        keys[count++] = (struct store_key){"adapter.lora.alpha", NULL, p->alpha};
    if (p->more)
        keys[count++] = (struct store_key){p->more, "x", 0};
    float values[16];
    for (size_t i = 0; i < 16; i++)
        values[i] = (float)i;
    struct store_output outputs[] = {
        {p->names[0], {2, 8}, values}, {p->names[1], {4, 2}, values}, {p->names[2], {1, 1}, values}};
    while (tensors < 3 && p->names[tensors])
        tensors++;
    values[7] = p->value;
    assert_ok(store_write_gguf(file(), keys, count, outputs, tensors, &e), &e);
}

static void files_of_other_programs_are_read(void **state)
{
    (void)state;
    struct lora l;
    struct err e;
    struct export_notes of;
    write_parts(&right);
    assert_ok(gguf_adapter_read(&l, &small_arch, file(), &of, &e), &e);
    assert_true(!of.name && !of.hash && of.prompts == PROMPTS_UNKNOWN);
    assert_true(!of.continued && of.objective.kind == OBJECTIVE_SFT);
    assert_int_equal(l.layout.count, 1);
    const struct lora_module *m = &l.layout.modules[0];
    assert_string_equal(m->path, "model.layers.1.self_attn.k_proj");
    assert_true(m->rank == 2 && m->scaling == 3);
    const float b[] = {0, 1, 4, 5, 2, 3, 6, 1}; /* rows 0, 2, 1, 3 of the file */
    small_equal(l.params + m->b, b, 8);
    lora_release(&l);
    struct parts parts = right; /* no alpha: llama.cpp's factor is 1 then */
    parts.alpha = 0;
    write_parts(&parts);
    assert_ok(gguf_adapter_read(&l, &small_arch, file(), NULL, &e), &e);
    assert_true(l.layout.modules[0].scaling == 1);
    lora_release(&l);
}

static void what_cannot_be_applied_is_refused(void **state)
{
    (void)state;
    static const struct {
        struct parts parts;
        enum err_code code;
        const char *text;
    } cases[] = {
        {{"model", "llama", NULL, NULL, 0, {NULL}, 0},
         ERR_USAGE,
         "general.type is \"model\", not \"adapter\": this file is no adapter"},
        {{"adapter", "llama", "dora", NULL, 6, {NULL}, 0},
         ERR_UNSUPPORTED,
         "adapter.type is \"dora\", not \"lora\""},
        {{"adapter", "qwen2", "lora", NULL, 6, {NULL}, 0},
         ERR_MISMATCH,
         "general.architecture is \"qwen2\", not \"llama\""},
        {{"adapter", "llama", "lora", "adapter.alora.invocation_tokens", 6, {NULL}, 0},
         ERR_UNSUPPORTED,
         "acts only after certain tokens"},
        {{"adapter", "llama", "lora", NULL, 6, {NULL}, 0}, ERR_FORMAT, "an adapter without tensors"},
        {{"adapter", "llama", "lora", NULL, NAN, {NULL}, 0}, ERR_FORMAT, "adapter.lora.alpha is nan"},
        {{"adapter", "llama", "lora", NULL, 6, {"blk.1.attn_k.weight.lora_a"}, 0},
         ERR_FORMAT,
         "there is no blk.1.attn_k.weight.lora_b"},
        {{"adapter",
          "llama",
          "lora",
          NULL,
          6,
          {"blk.1.attn_q.weight.lora_a", "blk.1.attn_q.weight.lora_b"},
          0},
         ERR_MISMATCH,
         "attn_q.weight.lora_b should be [8, 2]"},
        {{"adapter",
          "llama",
          "lora",
          NULL,
          6,
          {"blk.1.ffn_down.weight.lora_a", "blk.1.ffn_down.weight.lora_b"},
          0},
         ERR_MISMATCH,
         "ffn_down.weight.lora_a should be [2, 12]"},
        {{"adapter",
          "llama",
          "lora",
          NULL,
          6,
          {"blk.12.attn_k.weight.lora_a", "blk.12.attn_k.weight.lora_b"},
          0},
         ERR_UNSUPPORTED,
         "tensor blk.12.attn_k.weight.lora_a belongs to no linear layer"},
        {{"adapter",
          "llama",
          "lora",
          NULL,
          6,
          {"blk.1.attn_k.weight.lora_a", "blk.1.attn_k.weight.lora_b", "token_embd.weight.lora_a"},
          0},
         ERR_UNSUPPORTED,
         "tensor token_embd.weight.lora_a belongs to no linear layer"},
        {{"adapter",
          "llama",
          "lora",
          NULL,
          6,
          {"blk.1.attn_k.weight.lora_a", "blk.1.attn_k.weight.lora_b"},
          INFINITY},
         ERR_NUMERIC,
         "blk.1.attn_k.weight.lora_a holds a NaN or an infinity, in row 0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        write_parts(&cases[i].parts);
        expect_refused(&small_arch, cases[i].code, cases[i].text);
    }
    struct arch granite = small_arch;
    granite.family = &family_granitemoehybrid;
    write_parts(&right);
    expect_refused(&granite, ERR_UNSUPPORTED,
                   "GGUF adapters of models of type granitemoehybrid are not known here");
}

static void what_llama_cpp_does_not_have_is_not_written(void **state)
{
    (void)state;
    struct lora l;
    struct err e;
    struct arch granite = small_arch;
    granite.family = &family_granitemoehybrid;
    small_make(&l, "v_proj", 2, 4);
    assert_error(gguf_adapter_write(file(), &l, &granite, &small_base, &e), &e, ERR_UNSUPPORTED,
                 "models of type granitemoehybrid");
    assert_error(gguf_adapter_write(folder.folder, &l, &small_arch, &small_base, &e), &e, ERR_USAGE,
                 "is a folder");
    assert_ok(gguf_adapter_write(scratch_path(&folder, "new/deep/adapter.gguf"), &l, &small_arch, &small_base, &e), &e);
    lora_release(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_scaling_reads_back_to_the_bit),
                                       cmocka_unit_test(scalings_that_differ_are_in_b),
                                       cmocka_unit_test(a_changed_base_is_undone),
                                       cmocka_unit_test(rows_lie_as_in_a_models_file),
                                       cmocka_unit_test(sorted_rows_lie_as_in_a_models_file),
                                       cmocka_unit_test(a_family_goes_by_llama_cpps_name),
                                       cmocka_unit_test(files_of_other_programs_are_read),
                                       cmocka_unit_test(what_cannot_be_applied_is_refused),
                                       cmocka_unit_test(what_llama_cpp_does_not_have_is_not_written)};
    return cmocka_run_group_tests(tests, open_folder, close_folder);
}
