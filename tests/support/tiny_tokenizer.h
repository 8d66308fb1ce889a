/*
 * A model folder with a tokenizer small enough to know by heart, for tests of what is built on tokenizers:
 * id 0 to 255 is that byte, then come the tokens below. Nothing splits the text, so TINY_LINE_H appears
 * wherever an "h" follows a line end, also across the border of a chat message.
 */
#ifndef TESTS_TINY_TOKENIZER_H
#define TESTS_TINY_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"
#include "data/examples/chat.h"
#include "data/tokenizer/tokenizer.h"
#include "io/json.h"
#include "io/store/store.h"

enum { TINY_LINE_H = 256, TINY_BOS, TINY_IM_START, TINY_IM_END, TINY_EOS };

/* What the folder has beyond the vocabulary. */
enum {
    TINY_ADDS_BOS = 1,         /* the post-processor puts TINY_BOS in front */
    TINY_NO_EOS = 2,           /* no EOS token is declared */
    TINY_NO_TEMPLATE = 4,      /* no chat template */
    TINY_BROKEN_TEMPLATE = 8, /* one that cannot be parsed */
    TINY_NO_MARKERS = 32,     /* of the chat template: they are other tokens' texts */
    TINY_ADDS_EOS = 16,        /* with TINY_ADDS_BOS: and TINY_EOS after the text */
};

/* ChatML with a default system message, as SmolLM2 has it. */
#define TINY_SYSTEM "You are a helpful AI assistant named SmolLM, trained by Hugging Face"
static const char tiny_template[] = "{% for message in messages %}{% if loop.first and messages[0]['role'] "
                                    "!= 'system' %}{{ '<|im_start|>system\n" TINY_SYSTEM "<|im_end|>\n"
                                    "' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n"
                                    "' + message['content'] + '<|im_end|>' + '\n"
                                    "'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n"
                                    "' }}{% endif %}";

static inline void tiny_check(enum err_code code, const struct err *e)
{
    if (!code)
        return;
    fprintf(stderr, "tiny tokenizer: %s\n", e->message);
    abort();
}

/* The chat template of a tokenizer. */
static inline struct chat *tiny_chat_open(const struct tokenizer *t)
{
    const struct chat_options options = {.variables = "", .date = "2026-11-29"};
    struct chat *chat = NULL;
    struct err e;
    tiny_check(chat_open(&chat, t, &options, &e), &e);
    return chat;
}

static inline void tiny_write(const char *folder, const char *name, const void *bytes, size_t length)
{
    char path[4096];
    struct err e;
    tiny_check(file_join(path, sizeof path, folder, name, &e), &e);
    tiny_check(file_write_atomic(path, bytes, length, &e), &e);
}

static inline void tiny_write_vocabulary(const char *folder, int flags)
{
    static const char *const added[] = {"<|bos|>", "<|im_start|>", "<|im_end|>", "<|eos|>"};
    static const char *const other[] = {"", "<|unused1|>", "<|unused2|>"};
    struct str s = {0};
    struct err e;
    tiny_check(str_appendf(&s, &e, "{\"version\":\"1.0\",\"added_tokens\":["), &e);
    for (int i = 0; i < 4; i++)
        tiny_check(str_appendf(&s, &e,
                               "%s{\"id\":%d,\"content\":\"%s\",\"single_word\":false,\"lstrip\":false,"
                               "\"rstrip\":false,\"normalized\":false,\"special\":true}",
                               i ? "," : "", TINY_BOS + i,
                               flags & TINY_NO_MARKERS && (i == 1 || i == 2) ? other[i] : added[i]),
                   &e);
    tiny_check(
        str_appendf(
            &s, &e,
            "],\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
            "\"trim_offsets\":true,\"use_regex\":false},\"post_processor\":"),
        &e);
    tiny_check(str_appendf(
                   &s, &e, "%s",
                   flags & TINY_ADDS_BOS
                       ? "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<|bos|>\","
                         "\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}"
                       : "null"),
               &e);
    if (flags & TINY_ADDS_BOS)
        tiny_check(
            str_appendf(&s, &e,
                        "%s],\"pair\":[],\"special_tokens\":{\"<|bos|>\":{\"id\":\"<|bos|>\",\"ids\":[257],"
                        "\"tokens\":[\"<|bos|>\"]},\"<|eos|>\":{\"id\":\"<|eos|>\",\"ids\":[%d],"
                        "\"tokens\":[\"<|eos|>\"]}}}",
                        flags & TINY_ADDS_EOS ? ",{\"SpecialToken\":{\"id\":\"<|eos|>\",\"type_id\":0}}" : "",
                        TINY_EOS),
            &e);
    tiny_check(
        str_appendf(&s, &e,
                    ",\"decoder\":{\"type\":\"ByteLevel\",\"add_prefix_space\":true,\"trim_offsets\":true,"
                    "\"use_regex\":true},\"model\":{\"type\":\"BPE\",\"dropout\":null,\"unk_token\":null,"
                    "\"continuing_subword_prefix\":null,\"end_of_word_suffix\":null,\"fuse_unk\":false,"
                    "\"byte_fallback\":false,\"ignore_merges\":false,\"vocab\":{"),
        &e);
    /* Byte-level vocabularies write a byte as itself where it can be seen, the others as U+0100 and on. */
    int hidden = 0;
    for (int b = 0; b < 256; b++) {
        bool seen = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
        tiny_check(str_appendf(&s, &e, "\"\\u%04x\":%d,", seen ? b : 0x100 + hidden++, b), &e);
    }
    tiny_check(str_appendf(&s, &e, "\"\\u010ah\":%d},\"merges\":[\"\\u010a h\"]}}", TINY_LINE_H), &e);
    tiny_write(folder, "tokenizer.json", s.data, s.length);
    str_release(&s);
}

static inline void tiny_write_config(const char *folder, int flags)
{
    struct str s = {0};
    struct err e;
    tiny_check(str_appendf(&s, &e, "{\"bos_token\":\"<|bos|>\""), &e);
    if (!(flags & TINY_NO_EOS))
        tiny_check(str_appendf(&s, &e, ",\"eos_token\":\"<|eos|>\""), &e);
    if (!(flags & TINY_NO_TEMPLATE)) {
        tiny_check(str_appendf(&s, &e, ",\"chat_template\":"), &e);
        size_t length = flags & TINY_BROKEN_TEMPLATE ? sizeof tiny_template / 2 : sizeof tiny_template - 1;
        tiny_check(json_append_string(&s, tiny_template, length, &e), &e);
    }
    tiny_check(str_appendf(&s, &e, "}"), &e);
    tiny_write(folder, "tokenizer_config.json", s.data, s.length);
    str_release(&s);
    static const char config[] = "{\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\"}";
    tiny_write(folder, "config.json", config, sizeof config - 1);
}

/* One tensor of one element: a folder without weights is no model. */
static inline void tiny_write_weights(const char *folder)
{
    static const char header[] = "{\"w\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}    ";
    char bytes[8 + sizeof header - 1 + 4] = {(char)(sizeof header - 1)};
    for (size_t i = 0; i < sizeof header - 1; i++)
        bytes[8 + i] = header[i];
    tiny_write(folder, "model.safetensors", bytes, sizeof bytes);
}

static inline struct tokenizer *tiny_tokenizer_open(int flags)
{
    static const char *const names[] = {"tokenizer.json", "tokenizer_config.json", "config.json",
                                        "model.safetensors"};
    char folder[] = "/tmp/tiny-tokenizer-XXXXXX", path[4096];
    if (!mkdtemp(folder))
        abort();
    tiny_write_vocabulary(folder, flags);
    tiny_write_config(folder, flags);
    tiny_write_weights(folder);
    struct store store = {0};
    struct tokenizer *t = NULL;
    struct err e;
    tiny_check(store_open(&store, folder, &e), &e);
    tiny_check(tokenizer_open(&t, &store, &e), &e);
    store_close(&store);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        tiny_check(file_join(path, sizeof path, folder, names[i], &e), &e);
        unlink(path);
    }
    rmdir(folder);
    return t;
}

#endif
