/* Configurations of models that people have, by what their config.json files say, are read to the right record. */
#include "model/family.h"
#include "tiny_model.h"

struct published {
    const char *name, *config; /* config.json */
    /* family, layers, width, ffn, heads / key heads x columns, vocabulary, positions, theta; then what is special */
    const char *record;
};

/* One line for what two models may differ in. */
static void describe(struct str *out, const struct arch *a)
{
    static const char *const types[] = {[ROTATION_LINEAR] = " linear",
                                        [ROTATION_LLAMA3] = " llama3",
                                        [ROTATION_YARN] = " yarn",
                                        [ROTATION_LONGROPE] = " longrope",
                                        [ROTATION_PROPORTIONAL] = " proportional"};
    struct err e;
    size_t windowed = 0, unrotated = 0, window = 0;
    for (size_t layer = 0; layer < a->layers; layer++) {
        const struct layer_kind *kind = arch_kind(a, layer);
        windowed += kind->window > 0;
        unrotated += kind->unrotated;
        window = kind->window ? kind->window : window;
    }
    assert_ok(str_appendf(out, &e, "%s %zu %zu %zu %zu/%zux%zu %zu %zu %g", a->family->name, a->layers, a->width,
                          a->ffn, a->heads, a->kv_heads, a->head_dim, a->vocab, a->max_positions,
                          a->rotations[0].theta),
              &e);
    if (a->rotations[0].type != ROTATION_DEFAULT)
        assert_ok(str_appendf(out, &e, "%s %g", types[a->rotations[0].type], a->rotations[0].factor), &e);
    if (a->rotations[0].size != 0)
        assert_ok(str_appendf(out, &e, " size %.4g", a->rotations[0].size), &e);
    if (a->kinds[0].head_dim || a->kinds[0].kv_heads)
        assert_ok(str_appendf(out, &e, " full %zux%zu%s", a->kinds[0].kv_heads, a->kinds[0].head_dim,
                              a->kinds[0].values_are_keys ? " with keys as values" : ""),
                  &e);
    if (a->rotations[0].share != 0)
        assert_ok(str_appendf(out, &e, " share %g", a->rotations[0].share), &e);
    else if (a->rotations[0].rotated != a->head_dim)
        assert_ok(str_appendf(out, &e, " rotated %zu", a->rotations[0].rotated), &e);
    if (windowed)
        assert_ok(str_appendf(out, &e, " window %zu in %zu", window, windowed), &e);
    if (unrotated)
        assert_ok(str_appendf(out, &e, " unrotated %zu", unrotated), &e);
    if (a->most_positions)
        assert_ok(str_appendf(out, &e, " up to %zu", a->most_positions), &e);
    if (a->scale[GROUP_HEAD] != 0)
        assert_ok(str_appendf(out, &e, " logits %g", (double)a->scale[GROUP_HEAD]), &e);
    if (a->scale[GROUP_MLP_OUT] != 0)
        assert_ok(str_appendf(out, &e, " branches %g", (double)a->scale[GROUP_MLP_OUT]), &e);
    if (a->embedding_scale != 0)
        assert_ok(str_appendf(out, &e, " embedding %.4g", (double)a->embedding_scale), &e);
    if (arch_has_experts(a))
        assert_ok(str_appendf(out, &e, " experts %zu of %zu%s", a->experts_a_token, a->experts,
                              a->experts_share_one ? " sharing 1" : ""),
                  &e);
    assert_ok(str_appendf(out, &e, "%s%s", a->bias[GROUP_ATTN_IN] ? " bias" : "", a->tied ? " tied" : ""), &e);
}

static const struct published published[] = {
#define MODEL(name, record, ...) {name, #__VA_ARGS__, record},
#include "published.def"
#undef MODEL
};

static void published_models_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof published / sizeof published[0]; i++) {
        const struct published *p = &published[i];
        struct store s = {.kind = STORE_HF, .path = p->name};
        struct str record = {0};
        struct arch a;
        struct err e;
        assert_ok(json_open_bytes(&s.config, p->config, strlen(p->config), "config.json", &e), &e);
        if (arch_read(&a, &s, &e) == ERR_OK)
            describe(&record, &a);
        else
            assert_ok(str_appendf(&record, &e, "%s", e.message), &e);
        if (p->record[0] == '!' ? !strstr(record.data, p->record + 1) : strcmp(record.data, p->record) != 0)
            fail_msg("%s is read as\n%s, not as\n%s", p->name, record.data, p->record);
        json_close(s.config);
        str_release(&record);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_models_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
