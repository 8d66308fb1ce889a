/*
 * Families of decoders. Each has one file of const tables, src/model/families/NAME.c, with `const struct family
 * family_NAME`. The names of a family's modules and tensors are there and nowhere else; the code for weights, PEFT,
 * GGUF and messages uses these tables. src/model/families/README.md says how to add a family.
 */
#ifndef MPILORA_MODEL_FAMILY_H
#define MPILORA_MODEL_FAMILY_H

#include "model/arch.h"

/* The names of a norm; in a block, they are relative to the block. Both NULL: there is no norm at that place. */
struct family_vector {
    const char *path, *gguf;
};

/* The other names. */
struct family_names {
    const char *layers;    /* prefix of the names of a block, before ".NUMBER." */
    const char *embedding; /* of tokens */
    const char *positions; /* the embedding of positions; NULL: none */
    const char *old_head;  /* name of the head's tensor in older files; NULL: the same as in newer ones */
    const char *divisors;  /* tensor of a GGUF file with divisors of the frequencies of a rotation; NULL: none */
    const char *longrope[2]; /* tensors of a GGUF file with those of longrope's two rotations; NULL: none */
    const char *const *buffers; /* suffixes of names of tensors that are not weights, NULL after the last; NULL: none */
    const char *xielu;     /* within a block: the module with the numbers of xIELU; NULL: none */
    const char *block_scale; /* within a block: what its output is multiplied with; NULL: nothing is */
    const char *attention, *activation; /* the operations between the products of a branch, for messages */
};

/* A key of the configuration and the field of struct arch that it sets. If the key is missing in config.json (or
 * null, unless its kind says otherwise), the field has the family's default. If it is missing in a GGUF file, or
 * has no GGUF name, the field has the value gguf_missing, which may be GGUF_REQUIRED or GGUF_DEFAULT (exceptions:
 * KEY_ROOT, KEY_ACTIVATION). */
enum family_key_kind {
    KEY_SIZE,   /* size_t above 0; null in config.json is 0: derived from other sizes, or refused */
    KEY_LIMIT,  /* size_t; 0 and null: none */
    KEY_NUMBER, /* float */
    KEY_SCALE,  /* float above 0, because 0 in the record means no scale */
    KEY_CAP,    /* float; null: 0, none */
    KEY_FLAG,   /* bool */
    KEY_ROOT,    /* float: 1 / sqrt(number); missing in a GGUF file: 0, whatever gguf_missing is */
    KEY_INVERSE, /* float: 1 / number; otherwise as KEY_ROOT */
    KEY_ACTIVATION /* enum kern_act, from transformers' name of it; GGUF files do not have it */
};
#define GGUF_REQUIRED      (-1)
#define GGUF_DEFAULT       (-2) /* the family's default, as in config.json */
#define FAMILY_FIELD(name) offsetof(struct arch, name)
#define FAMILY_KEYS_END                                                                                      \
    {                                                                                                        \
        NULL, NULL, KEY_SIZE, 0, 0                                                                           \
    }
struct family_key {
    const char *json, *gguf; /* NULL: files of this kind do not have the key; the last row has two NULLs */
    enum family_key_kind kind;
    size_t field; /* FAMILY_FIELD(name) */
    double gguf_missing;
};

#define FAMILY_KEY_TABLES 4

#define TOKENIZERS_BYTE_LEVEL    "byte-level BPE"
#define TOKENIZERS_SENTENCEPIECE "SentencePiece-style BPE"
#define TOKENIZERS_BOTH          TOKENIZERS_BYTE_LEVEL ", " TOKENIZERS_SENTENCEPIECE

/* For models with layers of two kinds: the key of config.json that may list the kinds of all layers, and its words
 * for kinds 0 and 1 (NULL: the list has numbers); the key of a GGUF file whose list has true for kind 1 (NULL: none
 * does). If the key is missing, the record's pattern says which layers are of which kind. `sizes` is the key of
 * config.json whose object, if there is one, has the sizes of single layers, and overrules all that the kinds have of
 * their own (NULL: none). `kv_heads_gguf` is the key of a GGUF file with the number of key heads, one for all layers
 * or a list; in such a file, the values of layers without a matrix for them are their keys (NULL: as in other
 * families). */
struct family_layers {
    const char *key;
    const char *words[ARCH_KINDS];
    const char *gguf;
    const char *sizes;
    const char *kv_heads_gguf;
};

/* The experts of a family's MLPs, each a gated MLP of its own, and the router that chooses some of them for each token.
 * The matrices of an expert are listed by group, like `modules`. A Hugging Face file has a tensor for each matrix of
 * each expert, "PATH.NUMBER.MATRIX.weight"; a GGUF file has one for all experts, [experts, rows, columns]. */
struct family_experts {
    const char *router, *router_gguf; /* matrix [experts, width] */
    const char *path;                 /* of the module that holds the experts */
    const struct module *modules;     /* of an expert */
    size_t module_count;
    bool stacked; /* Hugging Face files have one tensor for all experts, too: the matrix's name is within the block */
};

struct source;

struct family {
    const char *name;                                     /* model_type of config.json */
    const char *gguf;                                     /* general.architecture; NULL: not read from GGUF */
    const char *gguf_adapter;                             /* the same for adapters; NULL: as `gguf` */
    const char *known_as;                                 /* well-known models of the family, separated by commas */
    const char *tokenizers;                               /* their tokenizers: TOKENIZERS_... */
    const struct family_names *names;                     /* [2], by enum store_kind */
    const struct module *modules;                         /* of a block, by group; then the head */
    size_t module_count;                                  /* of a block */
    const struct family_experts *experts; /* instead of modules of MLP_IN and MLP_OUT; NULL: there are none */
    const struct family_vector *vectors;                  /* [PLACE_COUNT], by place */
    const struct family_key *keys[FAMILY_KEY_TABLES + 1]; /* tables; NULL after the last */
    const struct family_layers *layers;                   /* NULL: all are of kind 0 */
    /* Keys of the common table (arch_refuse.c) that have no effect in this family, whatever their value; NULL after
     * the last. Keys that `keys` and `layers` read need not be listed. */
    const char *const *ignores;
    /* For what tables cannot express: called after the keys have been read and before the sizes are checked
     * (arch_source.h has functions to read more of the file); NULL: nothing to do. */
    enum err_code (*finish)(struct arch *a, const struct source *s, struct err *e);
    /* The defaults of transformers' configuration class for missing keys, and the properties that no key sets. */
    struct arch defaults;
};

/* A model in which the decoder is only one part (the others are, for example, for vision). Its config.json has the
 * decoder's configuration as text_config, whose model_type is the family. Module paths and tensor names are those
 * of the family with another prefix. */
struct wrapper_names {
    const char *model; /* replaces the family's first word ("model" of "model.layers") */
    const char *head;  /* put before names that do not begin with that word */
};
#define WRAPPER_SPELLINGS 2
struct wrapper {
    const char *name;   /* model_type of config.json */
    const char *family; /* the family if text_config has no model_type */
    /* First the names of modules in the class that serves the model, which are also those of tensors in newer
     * files; then the names of tensors in older files. */
    struct wrapper_names names[WRAPPER_SPELLINGS];
    const char *const *others; /* prefixes of the names of the other parts' tensors; NULL after the last */
    const char *gguf;          /* general.architecture of GGUF files that are made from it; NULL: the family's */
};
extern const struct wrapper wrappers[]; /* the last row has no name */

/* All families, sorted by name; NULL after the last. */
extern const struct family *const families[];

#define FAMILY(name) extern const struct family family_##name;
#include "model/families.def"
#undef FAMILY

#endif
