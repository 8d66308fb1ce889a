/*
 * Questions (train/question.h) held in memory, which all ranks answer together, each group of them on one rank. The
 * texts are the same on any number of ranks.
 */
#ifndef MPILORA_TRAIN_QUESTIONS_H
#define MPILORA_TRAIN_QUESTIONS_H

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "data/examples/dataset.h"
#include "train/question.h"
#include "train/session.h"

struct questions {
    struct session *session;
    struct arena arena;
    struct question *list; /* [count], the same on all ranks */
    size_t count;
    size_t *groups; /* [group_count + 1] the first question of each group that is answered together */
    size_t group_count;
};

/* Takes the first `most` examples of a data set, as question_read(). Not collective, but the same on all ranks.
 * questions_close() also after an error. */
enum err_code questions_read(struct questions *q, struct session *s, const struct dataset *d, size_t most, bool all,
                             struct err *e);

/* Takes one prompt, of these tokens; `chat`: rendered by the chat template. */
enum err_code questions_take(struct questions *q, struct session *s, const struct ids *prompt, bool chat,
                             struct err *e);
void questions_close(struct questions *q); /* a zeroed one is fine */

/* Collective. The groups first, first + 1, ..., one for each rank, are answered with the session's model; `out` on
 * rank 0 gets their lines in order. `begin` as in question_answer_lines(). */
enum err_code questions_answer(const struct questions *q, size_t first, const struct question_options *options,
                               const char *begin, struct str *out, struct err *e);

/* Progress, once these groups are answered: "answering: 8 of 37 WHAT". */
void questions_show_progress(const struct questions *q, size_t groups, const char *what);

#endif
