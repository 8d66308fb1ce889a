/*
 * What a run was computed on: processors, ranks, libraries, program. The first line of metrics.jsonl after each start
 * of the run has it, as "machine". It is for people: nothing that is computed depends on it, and no checkpoint or hash
 * contains it. It names no host, no path and no user.
 */
#ifndef MPILORA_RUN_MACHINE_H
#define MPILORA_RUN_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "io/json.h"

#define MACHINE_KEY "machine" /* its name in a line of metrics.jsonl */

/* A kind of processor, and the hosts that have it. */
struct machine_processor {
    const char *name;
    size_t hosts, ranks;
};

/* Texts that are not known are "", numbers 0. */
struct machine {
    const struct machine_processor *processors; /* [count] */
    size_t count;
    size_t ranks, threads; /* of all hosts together; of a rank */
    const char *dtype, *kernels, *products, *mpi, *hdf5, *program;
};

/* What records say of this program: its version, with the commit where main() knows it, which calls the first function
 * once at the start. The text belongs to the caller. */
void machine_set_program(const char *program);
const char *machine_program(void);

/* Appends it as a JSON object. */
enum err_code machine_append(struct str *out, const struct machine *m, struct err *e);

/* Of a line of metrics.jsonl: *found is false if it has none. What is missing in it, or of another kind, is not known.
 * The texts belong to the arena. */
enum err_code machine_read(struct machine *m, bool *found, const struct json_value *line, struct arena *a,
                           struct err *e);

bool machine_equals(const struct machine *a, const struct machine *b);

/* Its members that are one number or one text, by their names in the record. */
enum { MACHINE_FIELDS = 8 };
const char *machine_field_key(size_t field);
const char *machine_field_text(const struct machine *m, size_t field); /* NULL: it is a number */
size_t machine_field_count(const struct machine *m, size_t field);     /* of a number */

/* Its facts as texts for people, in the order in which they are shown: "Ranks", "4". A fact that is not known is "". */
enum { MACHINE_FACTS = MACHINE_FIELDS + 2 };
const char *machine_fact_name(size_t fact);
enum err_code machine_append_fact(struct str *out, const struct machine *m, size_t fact, struct err *e);

/* "AMD EPYC 7543"; of several kinds "AMD EPYC 7543 (4 ranks on 2 hosts), Intel Xeon 8352Y (1 rank on 1 host)". */
enum err_code machine_append_processors(struct str *out, const struct machine *m, struct err *e);
size_t machine_hosts(const struct machine *m);

/* The machines of a run, each with the first step that it computed; a start on the same one as before is not listed. */
struct machine_start {
    uint64_t step;
    struct machine machine;
    struct machine_start *next;
};
struct machine_list {
    struct machine_start *first, *last; /* NULL: none is known */
};

/* Notes what a line of metrics.jsonl says, whose step is given. */
enum err_code machine_list_note(struct machine_list *l, uint64_t step, const struct json_value *line, struct arena *a,
                                struct err *e);

/* Notes those of a whole file; lines that are incomplete or not ours are passed over, and without a file there are
 * none. */
enum err_code machine_list_read(struct machine_list *l, const char *path, struct arena *a, struct err *e);

#endif
