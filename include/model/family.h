/*
 * Families of decoders: what each calls its parts. One file of const tables each, src/model/families/NAME.c
 * with `const struct family family_NAME`; the names of modules and tensors stand there and nowhere else.
 */
#ifndef MPILORA_MODEL_FAMILY_H
#define MPILORA_MODEL_FAMILY_H

#include <stddef.h>

/* Linear layers that read the same input, in the order of the forward pass. */
enum linear_group {
    GROUP_ATTN_IN,
    GROUP_ATTN_OUT,
    GROUP_MLP_IN,
    GROUP_MLP_OUT,
    GROUP_COUNT,
    GROUP_HEAD = GROUP_COUNT
};

#define FAMILY_MODULES 8 /* of a block, at most */

enum family_rows { ROWS_WIDTH, ROWS_QUERIES, ROWS_KEYS, ROWS_FFN, ROWS_VOCAB };

/* How a file has a matrix, where that is not how it is used. */
enum family_stored {
    STORED_PLAIN = 0,
    GGUF_PAIRED = 1 /* GGUF interleaves the rows of the two halves of each head */
};

/* A linear layer. Those of one group read the same input, and their rows lie one after the other in the
 * group's output, in the order of the table: one matrix product serves the group. */
struct family_module {
    const char *path; /* in its block, as Hugging Face and PEFT have it */
    const char *gguf;
    enum linear_group group;
    enum family_rows rows; /* of its output; the columns are the group's */
    unsigned stored;       /* enum family_stored */
};

struct family {
    const char *name;
    const struct family_module *modules; /* of a block, by group; then the head */
    size_t module_count;                 /* of a block */
};

#define FAMILY(name) extern const struct family family_##name;
#include "model/families.def"
#undef FAMILY

#endif
