/*
 * A data set: files of JSONL or with one JSON array each (data/examples/record.h), seen as one sequence of
 * examples. Memory holds only an index of where each example starts (24 bytes per example), not the text. "Line"
 * here also means an element of an array.
 *
 * Scanning can be divided among ranks: dataset_scan() with (part, parts) reads only its part of the bytes of all
 * files in sequence, and makes an index of the lines that start there. The caller, which knows the ranks, gathers
 * these indices in order and passes the complete index to dataset_set_index(). With parts == 1 dataset_open() is
 * enough.
 */
#ifndef MPILORA_DATA_EXAMPLES_DATASET_H
#define MPILORA_DATA_EXAMPLES_DATASET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/file.h"
#include "data/examples/example.h"

#define DATASET_OFFSET_BITS 48
struct dataset_entry {
    uint64_t offset : DATASET_OFFSET_BITS;    /* of the line in its file */
    uint64_t file : 64 - DATASET_OFFSET_BITS; /* index into paths */
    uint32_t bytes;                           /* of the line, without its end */
    uint32_t tokens; /* after cutting to max_length; of a pair, those of both sides, what they share once */
    uint32_t supervised;
    uint32_t chosen; /* of a pair: how many of the supervised tokens are on the chosen side; otherwise 0 */
};

/* All members are uint64_t, so that the counts of all parts can be added up. */
struct dataset_counts {
    uint64_t tokens, supervised, truncated, bad_lines;
    uint64_t had_bos;                   /* examples with had_bos, see struct example */
    uint64_t forms[EXAMPLE_FORM_COUNT]; /* examples of each form */
    uint64_t notes[NOTE_COUNT];         /* examples with each note */
    uint64_t columns[COLUMNS_MAX];      /* lines, bad ones too, with the old name of each column of the options */
};

struct dataset {
    const char *const *paths;
    size_t path_count;
    const struct tokenizer *tokenizer;
    struct example_options options;
    bool skip_bad_lines;
    struct file_in *files;
    bool is_part; /* a part of another data set, which owns the files */
    char hash[FILE_HASH_SIZE]; /* of the files' content, set by the caller; "" before */
    struct dataset_entry *entries; /* in file order */
    size_t count;
    bool keeps_prints;
    uint64_t *prints; /* [count], see dataset_keep_prints(); NULL: not kept */
    struct dataset_counts counts;
    /* The first example with each note: bytes of the files, laid end to end, from where it begins, so that the largest
     * of all parts' is the first; 0: none. */
    uint64_t first_notes[NOTE_COUNT];
    uint64_t longest;    /* tokens of the longest line before cutting, also of one that cutting made bad */
    char first_bad[512]; /* with skip_bad_lines: the first bad line's error, for the report */
    char (*bad)[512];    /* [bad_count] errors of the first bad lines, see dataset_keep_bad() */
    size_t bad_count, bad_most;
};

/* Opens the files. Paths and tokenizer must outlive the data set. Errors: an empty list, a file that cannot be
 * read, and one that is not a regular file (a pipe, "-"). After an error there is nothing to close. */
enum err_code dataset_init(struct dataset *d, const char *const *paths, size_t path_count,
                           const struct tokenizer *tokenizer, const struct example_options *options,
                           bool skip_bad_lines, struct err *e);

/* From now on, file number `file` is read from `path`, which has its expanded content (io/unpack.h). `path` may be
 * deleted after this call. Messages still use the file's own name. */
enum err_code dataset_use_copy(struct dataset *d, size_t file, const char *path, struct err *e);

/* Expands the compressed files, for a single process, each into a file in TMPDIR that is already deleted when this
 * function returns. */
enum err_code dataset_expand(struct dataset *d, struct err *e);

/* With skip_bad_lines, from the next scan on: keep the errors of the first `most` bad lines in d->bad. */
enum err_code dataset_keep_bad(struct dataset *d, size_t most, struct err *e);

/* From the next scan on: keep a fingerprint of each example's tokens, 8 bytes per example (data/examples/repeats.h).
 * dataset_set_index() leaves them alone: the caller replaces d->prints by all parts' (from malloc()), or drops them. */
void dataset_keep_prints(struct dataset *d);
void dataset_drop_prints(struct dataset *d);

/* Fills entries and counts from part `part` of `parts` of the files' lines (tokenising every line, on all
 * threads; the result does not depend on the number of threads or parts). Blank lines, a byte order mark and
 * CRLF are accepted. A bad line is ERR_DATA "FILE:LINE: reason" (of an array "FILE, element N: reason") for the
 * first bad line in file order of this part, unless skip_bad_lines. A line for which the model lacks something,
 * such as a chat template (ERR_UNSUPPORTED), and an array that is not complete (ERR_FORMAT) always stop the
 * scan. */
enum err_code dataset_scan(struct dataset *d, size_t part, size_t parts, struct err *e);

/* Replaces entries (copied) and counts by the gathered ones. ERR_DATA if there is no example. */
enum err_code dataset_set_index(struct dataset *d, const struct dataset_entry *entries, size_t count,
                                const struct dataset_counts *counts, struct err *e);

/* dataset_init(), dataset_expand(), a scan of everything, and a check that there is an example. */
enum err_code dataset_open(struct dataset *d, const char *const *paths, size_t path_count,
                           const struct tokenizer *tokenizer, const struct example_options *options,
                           bool skip_bad_lines, struct err *e);
/* What dataset_open() does after dataset_init(). */
enum err_code dataset_fill(struct dataset *d, struct err *e);
void dataset_close(struct dataset *d);

/* Keeps only the first `count` examples. */
void dataset_limit(struct dataset *d, size_t count);

/* Divides the examples of `whole`, which must outlive both parts: `held` gets as many as `amount` says
 * (opt_amount()), chosen only by `seed` and their places; `rest` gets the others. Both keep the order of the files
 * and have their own index and token counts; all other counts go to `rest`. ERR_USAGE if one part would be empty.
 * After an error there is nothing to close. */
enum err_code dataset_split(struct dataset *rest, struct dataset *held, const struct dataset *whole, double amount,
                            uint64_t seed, struct err *e);

/* Reads and parses the line of example `index`. ERR_MISMATCH "FILE:LINE: ..." if the line has changed since the
 * scan (detected by its numbers of tokens). */
enum err_code dataset_read(struct example *ex, struct example_scratch *scratch, const struct dataset *d,
                           size_t index, struct err *e);

/* "FILE:LINE" of an example, for messages. Slow, because it counts lines. */
void dataset_place(char *text, size_t size, const struct dataset *d, size_t index);

/* As dataset_place(), of the first example with a note that some examples have. */
void dataset_place_of_note(char *text, size_t size, const struct dataset *d, enum example_note note);

/* How many examples --max-length cuts, and what the longest has; false if it cuts none. */
bool dataset_describe_cut(char *text, size_t size, const struct dataset *d);

/* Calls `tell` with one sentence for each of these notes that examples of the data set have, with the place of the
 * first such example, up to which it reads the files; and for each renamed column that no line has. The notes are
 * common mistakes in data that people often notice only when the trained model is bad. */
void dataset_tell_warnings(const struct dataset *d, unsigned notes, void (*tell)(void *context, const char *text),
                           void *context);

/* Hash of the files' content, in order. */
enum err_code dataset_hash(char hash[FILE_HASH_SIZE], const struct dataset *d, struct err *e);

#endif
