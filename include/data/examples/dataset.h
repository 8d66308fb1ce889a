/*
 * A data set: files of JSONL or of one JSON array each (data/examples/record.h), as one sequence of examples, held as
 * an index of where each begins (24 bytes an example), not as text. What is said of lines here holds for elements, too.
 *
 * Scanning is shared: dataset_scan() with (part, parts) reads only its part of the bytes of all files laid
 * end to end and fills an index of the lines that begin there; the caller (which knows ranks) gathers the
 * parts' indices in order and gives the whole to dataset_set_index(). With parts == 1 the scan alone is
 * enough: dataset_open().
 */
#ifndef MPILORA_DATA_EXAMPLES_DATASET_H
#define MPILORA_DATA_EXAMPLES_DATASET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/file.h"
#include "data/examples/example.h"

struct dataset_entry {
    uint64_t offset; /* of the line in its file */
    uint32_t file;   /* index into paths */
    uint32_t bytes;  /* of the line, without its end */
    uint32_t tokens; /* after cutting */
    uint32_t supervised;
};

/* All of them uint64_t: sums over parts. */
struct dataset_counts {
    uint64_t tokens, supervised, truncated, bad_lines;
    uint64_t had_bos;                   /* as in struct example */
    uint64_t forms[EXAMPLE_FORM_COUNT]; /* examples of each form */
    uint64_t notes[NOTE_COUNT];         /* with each note */
};

struct dataset {
    const char *const *paths;
    size_t path_count;
    const struct tokenizer *tokenizer;
    struct example_options options;
    bool skip_bad_lines;
    struct file_in *files;
    bool is_part; /* of another data set, whose files these are */
    char hash[FILE_HASH_SIZE]; /* of their content, once the caller has it; "" before */
    struct dataset_entry *entries; /* in file order */
    size_t count;
    struct dataset_counts counts;
    char first_bad[512]; /* with skip_bad_lines: the first bad line's error, for the report */
    char (*bad)[512];    /* [bad_count]: the first ones', see dataset_keep_bad() */
    size_t bad_count, bad_most;
};

/* Opens the files. Paths and tokenizer must outlive the data set. An empty list, an unreadable file and a
 * file that is not a regular one (a pipe, "-") are errors. After an error there is nothing to close. */
enum err_code dataset_init(struct dataset *d, const char *const *paths, size_t path_count,
                           const struct tokenizer *tokenizer, const struct example_options *options,
                           bool skip_bad_lines, struct err *e);

/* From here on file `file` is read from `path`, where its content lies expanded (io/unpack.h), and which may be deleted
 * then. In messages it keeps its own name. */
enum err_code dataset_use_copy(struct dataset *d, size_t file, const char *path, struct err *e);

/* Expands the compressed files, for one process, each into a file in TMPDIR that has no name any more when this
 * returns. */
enum err_code dataset_expand(struct dataset *d, struct err *e);

/* From the next scan on, with skip_bad_lines: the errors of the first `most` bad lines are kept in d->bad. */
enum err_code dataset_keep_bad(struct dataset *d, size_t most, struct err *e);

/* Fills entries and counts from part `part` of `parts` of the files' lines (tokenising every line, on all
 * threads; the result does not depend on the number of threads or parts). Blank lines, a byte order mark and
 * CRLF are accepted. A bad line is ERR_DATA "FILE:LINE: reason" (of an array "FILE, element N: reason") for the
 * first bad line in file order of this part, unless skip_bad_lines. A line that the model cannot take at all
 * (ERR_UNSUPPORTED) stops the scan always, and so does an array that is not whole (ERR_FORMAT). */
enum err_code dataset_scan(struct dataset *d, size_t part, size_t parts, struct err *e);

/* Replaces entries (copied) and counts by the gathered whole. ERR_DATA when no example is left. */
enum err_code dataset_set_index(struct dataset *d, const struct dataset_entry *entries, size_t count,
                                const struct dataset_counts *counts, struct err *e);

/* init + dataset_expand() + scan of everything + check that there is an example. */
enum err_code dataset_open(struct dataset *d, const char *const *paths, size_t path_count,
                           const struct tokenizer *tokenizer, const struct example_options *options,
                           bool skip_bad_lines, struct err *e);
void dataset_close(struct dataset *d);

/* Keeps the first `count` examples only, if there are more. */
void dataset_limit(struct dataset *d, size_t count);

/* Parts the examples of `whole`, which must outlive both: `held` gets as many as `amount` says (opt_amount()),
 * chosen by `seed` and their places alone, `rest` the others, each in the order of the files, with an index of its own
 * and its own number of tokens; what else was counted stays with `rest`. ERR_USAGE when one of them has none. After an
 * error there is nothing to close. */
enum err_code dataset_split(struct dataset *rest, struct dataset *held, const struct dataset *whole, double amount,
                            uint64_t seed, struct err *e);

/* Parses example `index` again from its line. ERR_MISMATCH "FILE:LINE: ..." if the line is no longer what the
 * scan saw (as far as the numbers of its tokens show it). */
enum err_code dataset_read(struct example *ex, struct example_scratch *scratch, const struct dataset *d,
                           size_t index, struct err *e);

/* "FILE:LINE" of an example, for messages (counts lines: slow). */
void dataset_place(char *text, size_t size, const struct dataset *d, size_t index);

/* What experience says is wrong with data, a sentence for each of these notes that its examples have: much of it goes
 * unseen until a model is bad. */
void dataset_tell_warnings(const struct dataset *d, unsigned notes, void (*tell)(void *context, const char *text),
                           void *context);

/* Hash of the files' content, in order. */
enum err_code dataset_hash(char hash[FILE_HASH_SIZE], const struct dataset *d, struct err *e);

#endif
