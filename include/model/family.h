/*
 * Families of decoders: one file of const tables each, src/model/families/NAME.c with `const struct family
 * family_NAME`. What a family calls its modules and tensors stands there and nowhere else, and serves weights,
 * PEFT, GGUF and messages. src/model/families/README.md says how to add one.
 */
#ifndef MPILORA_MODEL_FAMILY_H
#define MPILORA_MODEL_FAMILY_H

#include "model/arch.h"

/* A norm's weights. Those of a block are named within it; both NULL: there is no norm at that place. */
struct family_vector {
    const char *path, *gguf;
};

/* Names of what is not in the tables of modules and vectors. */
struct family_names {
    const char *layers;    /* what a block's names begin with, before ".NUMBER." */
    const char *embedding; /* tokens */
    const char
        *rotation; /* ends the names of rotary tables, which are no weights; a GGUF file's has divisors */
    const char *attention, *activation; /* what lies between a branch's products; for messages */
};

/* A key of the configuration and the field of struct arch that it fills. In config.json a key that is missing, or
 * null where its kind says nothing else, means the family's default; in a GGUF file one that is missing, or has no
 * name there, the value given here, which may be GGUF_REQUIRED or GGUF_DEFAULT (but see KEY_ROOT, KEY_ACTIVATION). */
enum family_key_kind {
    KEY_SIZE,   /* size_t above 0; null in config.json is 0: derived from other sizes, or refused */
    KEY_LIMIT,  /* size_t; 0 and null: none */
    KEY_NUMBER, /* float */
    KEY_SCALE,  /* float above 0, since 0 in the record is no scale */
    KEY_CAP,    /* float; null: 0, none */
    KEY_FLAG,   /* bool */
    KEY_ROOT,    /* float: 1 / the root of the number; missing in a GGUF file: 0, whatever is given here */
    KEY_INVERSE, /* float: 1 / the number; likewise */
    KEY_ACTIVATION /* enum kern_act, by transformers' word; GGUF files do not say */
};
#define GGUF_REQUIRED      (-1)
#define GGUF_DEFAULT       (-2) /* the family's default, as in config.json */
#define FAMILY_FIELD(name) offsetof(struct arch, name)
#define FAMILY_KEYS_END                                                                                      \
    {                                                                                                        \
        NULL, NULL, KEY_SIZE, 0, 0                                                                           \
    }
struct family_key {
    const char *json, *gguf; /* NULL: a file of this kind does not say; the tables end with two NULLs */
    enum family_key_kind kind;
    size_t field; /* FAMILY_FIELD(name) */
    double gguf_missing;
};

#define FAMILY_KEY_TABLES 3

#define TOKENIZERS_BYTE_LEVEL    "byte-level BPE"
#define TOKENIZERS_SENTENCEPIECE "SentencePiece-style BPE"
#define TOKENIZERS_BOTH          TOKENIZERS_BYTE_LEVEL ", " TOKENIZERS_SENTENCEPIECE

/* Layers of two kinds: the key of config.json that may list them, and its words for kinds 0 and 1 (NULL: the list has
 * the numbers). Where it does not, the record's pattern says. */
struct family_layers {
    const char *key;
    const char *words[ARCH_KINDS];
};

struct source;

struct family {
    const char *name;                                     /* model_type of config.json */
    const char *gguf;                                     /* general.architecture; NULL: not read from GGUF */
    const char *known_as;                                 /* models of it that people know, with commas between */
    const char *tokenizers;                               /* that they come with: TOKENIZERS_... */
    const struct family_names *names;                     /* [2], by enum store_kind */
    const struct module *modules;                         /* of a block, by group; then the head */
    size_t module_count;                                  /* of a block */
    const struct family_vector *vectors;                  /* [PLACE_COUNT], by place */
    const struct family_key *keys[FAMILY_KEY_TABLES + 1]; /* tables; NULL after the last */
    const struct family_layers *layers;                   /* NULL: all are of kind 0 */
    /* Keys of the common table (arch_refuse.c) that change nothing in this family, whatever their value; NULL after
     * the last. Those that `keys` and `layers` read need not be here. */
    const char *const *ignores;
    /* What tables cannot say, after the keys were read and before sizes are checked (arch_source.h has how to read
     * more of the file); NULL: nothing. */
    enum err_code (*finish)(struct arch *a, const struct source *s, struct err *e);
    /* What transformers' configuration class has for keys that are missing, and all that no key says. */
    struct arch defaults;
};

/* A model whose decoder is one part beside others (towers of vision, say), and whose config.json has that decoder's
 * own as text_config: the family is the one that this names. Paths of modules and names of tensors are the family's
 * with something else in front. */
struct wrapper_names {
    const char *model; /* in place of the family's first word ("model" of "model.layers") */
    const char *head;  /* before what does not begin with that word */
};
#define WRAPPER_SPELLINGS 2
struct wrapper {
    const char *name;   /* model_type of config.json */
    const char *family; /* where text_config does not say */
    /* The first: of modules, as the class that serves the model has them, and of tensors; then of tensors as older
     * writers had them. */
    struct wrapper_names names[WRAPPER_SPELLINGS];
    const char *const *others; /* what the names of the other parts' tensors begin with; NULL after the last */
};
extern const struct wrapper wrappers[]; /* one without a name after the last */

/* All of them, by name; NULL after the last. */
extern const struct family *const families[];

#define FAMILY(name) extern const struct family family_##name;
#include "model/families.def"
#undef FAMILY

#endif
