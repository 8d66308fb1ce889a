#include "selftest_parts.h"

#include <string.h>

#include "base/rng.h"
#include "io/store/safetensors.h"
#include "model/family.h"

/* Large enough for attention with shared keys and an MLP with a gate, small enough to be nothing. */
static const struct arch shape = {.family = &family_llama,
                                  .layers = 2,
                                  .width = 64,
                                  .ffn = 128,
                                  .heads = 4,
                                  .kv_heads = 2,
                                  .head_dim = 16,
                                  .vocab = 260,
                                  .norm_eps = 1e-5F,
                                  .tied = true};

static enum err_code write_config(struct str *out, struct err *e)
{
    return str_appendf(
        out, e,
        "{\"model_type\":\"%s\",\"num_hidden_layers\":%zu,\"hidden_size\":%zu,\"intermediate_size\":%zu,"
        "\"num_attention_heads\":%zu,\"num_key_value_heads\":%zu,\"head_dim\":%zu,\"vocab_size\":%zu,"
        "\"rms_norm_eps\":1e-5,\"rope_theta\":10000,\"max_position_embeddings\":512,"
        "\"tie_word_embeddings\":true,\"hidden_act\":\"silu\"}",
        shape.family->name, shape.layers, shape.width, shape.ffn, shape.heads, shape.kv_heads, shape.head_dim,
        shape.vocab);
}

/* Byte-level: id 0 to 255 is that byte; then "th", "the", " the", and the end of a text. The regular expression cuts a
 * text into words, and NFC joins letters and their accents: one uses PCRE2, the other utf8proc. */
static enum err_code write_tokenizer(struct str *out, struct err *e)
{
    enum err_code code = str_appendf(
        out, e,
        "{\"version\":\"1.0\",\"added_tokens\":[{\"id\":259,\"content\":\"<|end|>\",\"single_word\":false,"
        "\"lstrip\":false,\"rstrip\":false,\"normalized\":false,\"special\":true}],"
        "\"normalizer\":{\"type\":\"NFC\"},\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":"
        "false,\"trim_offsets\":true,\"use_regex\":true},\"post_processor\":null,\"decoder\":{\"type\":"
        "\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,\"use_regex\":true},\"model\":{"
        "\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,\"continuing_subword_prefix\":null,"
        "\"end_of_word_suffix\":null,\"fuse_unk\":false,\"byte_fallback\":false,\"ignore_merges\":false,"
        "\"vocab\":{");
    /* Such a vocabulary writes a byte as itself if it can be seen, and the others as U+0100 and on. */
    for (int b = 0, hidden = 0; !code && b < 256; b++) {
        bool seen = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
        code = str_appendf(out, e, "\"\\u%04x\":%d,", (unsigned)(seen ? b : 0x100 + hidden++), b);
    }
    return code ? code
                : str_appendf(out, e,
                              "\"th\":256,\"the\":257,\"\\u0120the\":258},\"merges\":[\"t h\",\"th "
                              "e\",\"\\u0120 the\"]}}");
}

/* The tensors of a file: first their names and shapes, then their values. */
struct tensors {
    struct str *header, *values;
    uint64_t end; /* bytes of those that were added */
};

static enum err_code add_tensor(struct tensors *t, const char *name, size_t rows, size_t columns,
                                struct err *e)
{
    const bool vector = columns == 0; /* a norm: all 1 */
    const uint64_t extent[2] = {rows, columns};
    const size_t count = vector ? rows : rows * columns, bytes = count * sizeof(float);
    if (safetensors_put_tensor(t->header, name, dtype_info(DTYPE_F32)->safetensors, extent, vector ? 1 : 2,
                               t->end, t->end + bytes, e) ||
        str_reserve(t->values, t->values->length + bytes, e))
        return e->code;
    for (size_t i = 0; i < count; i++) {
        float value = 1;
        if (!vector)
            rng_fill_normal(&value, rng_key_make(1, RNG_SAMPLE, rng_hash(name)), i, 1);
        value *= vector ? 1 : 0.05F;
        if (str_append(t->values, &value, sizeof value, e))
            return e->code;
    }
    t->end += bytes;
    return ERR_OK;
}

static enum err_code add_layer(struct tensors *t, size_t layer, struct err *e)
{
    static const enum place norms[] = {AT_ATTN_IN, AT_MLP_IN};
    char name[ARCH_NAME_SIZE];
    for (size_t linear = 0; linear < arch_head(&shape); linear++) {
        arch_module_tensor(name, &shape, STORE_HF, layer, linear, "weight");
        if (add_tensor(t, name, arch_rows(&shape, layer, linear), arch_columns(&shape, layer, linear), e))
            return e->code;
    }
    for (size_t i = 0; i < sizeof norms / sizeof *norms; i++) {
        arch_norm_tensor(name, &shape, STORE_HF, layer, norms[i], "weight");
        if (add_tensor(t, name, shape.width, 0, e))
            return e->code;
    }
    return ERR_OK;
}

static enum err_code write_weights(struct str *out, struct err *e)
{
    struct str values = {0};
    struct tensors t = {.header = out, .values = &values};
    char name[ARCH_NAME_SIZE];
    enum err_code code = safetensors_put_begin(out, NULL, NULL, 0, e);
    arch_embedding_tensor(name, &shape, STORE_HF);
    if (!code)
        code = add_tensor(&t, name, shape.vocab, shape.width, e);
    for (size_t layer = 0; !code && layer < shape.layers; layer++)
        code = add_layer(&t, layer, e);
    arch_norm_tensor(name, &shape, STORE_HF, 0, AT_FINAL, "weight");
    if (!code)
        code = add_tensor(&t, name, shape.width, 0, e);
    if (!code)
        code = safetensors_put_end(out, e);
    if (!code)
        code = str_append(out, values.data, values.length, e);
    str_release(&values);
    return code;
}

static struct store_file file_of(const char *name, const struct str *content)
{
    return (struct store_file){
        .name = name, .map = {.data = (const unsigned char *)content->data, .size = content->length}};
}

static enum err_code make_files(struct selftest_model *m, struct err *e)
{
    if (write_config(&m->config, e) || write_tokenizer(&m->tokenizer, e) || write_weights(&m->weights, e))
        return e->code;
    m->files[0] = file_of("config.json", &m->config);
    m->files[1] = file_of("tokenizer.json", &m->tokenizer);
    m->files[2] = file_of("model.safetensors", &m->weights);
    m->image = (struct store_image){.is_folder = true, .files = m->files, .count = 3};
    return ERR_OK;
}

enum err_code selftest_model_open(struct selftest_model *m, struct err *e)
{
    const struct weights_options weights = {.type = DTYPE_F32};
    const struct lora_spec adapter = {.rank = 4, .alpha = 8, .init = LORA_NORMAL};
    enum err_code code = make_files(m, e);
    if (!code)
        code = store_open_image(&m->store, "the self-test's model", &m->image, e);
    if (!code)
        code = tokenizer_open(&m->words, &m->store, e);
    if (!code)
        code = model_load(&m->model, &m->store, &weights, e);
    if (!code)
        code = lora_create(&m->lora, &m->model.arch, &adapter, e);
    if (!code)
        m->model.lora = &m->lora;
    return code;
}

void selftest_model_close(struct selftest_model *m)
{
    model_release(&m->model);
    lora_release(&m->lora);
    tokenizer_close(m->words);
    store_close(&m->store);
    str_release(&m->config);
    str_release(&m->tokenizer);
    str_release(&m->weights);
}
