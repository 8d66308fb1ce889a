/*
 * A prompt taken from data, with its answer in the data and the answer of a model.
 *
 *     <s> What is 2 + 2 ?  4 </s>
 *     |---- prompt ----|  |-| expected
 *
 * The prompt is everything before an example's last answer, exactly as the model is trained on it. An answer ends
 * before a stop token (question_find_stops()), and so does the expected answer.
 */
#ifndef MPILORA_TRAIN_QUESTION_H
#define MPILORA_TRAIN_QUESTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "data/examples/dataset.h"
#include "train/session.h"

/* The stop tokens: ids that end an answer. */
struct question_stops {
    int32_t id[32];
    size_t count;
};

/* Finds EOS, all other EOS ids that the model declares, and for a chat the end of the assistant's turn. */
void question_find_stops(struct question_stops *stops, const struct session *s, bool chat);

struct question {
    size_t example;          /* number of the example in the data */
    const int32_t *tokens;   /* [prompt + expected] */
    size_t prompt, expected; /* number of tokens of prompt and expected answer */
    bool answered;           /* the data has an answer, which may be empty */
    bool chat;               /* a conversation, rendered by the chat template */
};

/* Takes the questions of the examples first, first + 1, ... of a data set, until it has `most`: *taken of them.
 * Memory from `a`. An example that ends before its answer is a prompt as a whole. One with nothing before the
 * answer, as plain text has, is left out, or with `all` ERR_DATA. */
enum err_code question_read(struct question *questions, size_t *taken, const struct dataset *d, size_t first,
                            size_t most, bool all, const struct session *s, struct arena *a, struct err *e);

/* How questions are answered. */
struct question_options {
    size_t max_new_tokens;
    double temperature, top_p; /* as in model/generate.h; each question has its own random numbers */
    uint64_t seed;
};

/* As the options of `generate` say. */
struct question_options question_options_of(const struct options *o);

/* Number of questions, of those with `lengths[]` tokens, that are answered together. It depends on nothing else, in
 * particular not on the number of ranks, so that answers do not depend on it either. */
size_t question_group(const uint32_t *lengths, size_t count, size_t max_new_tokens);

/* Answers a group of questions with the session's model, and appends a line for each to `lines`: the beginning of a
 * JSON object (`begin`: "{", or with members "{\"step\": 4, "), then
 *     "example": 0, "prompt": "...", "expected": "...", "answer": "...", "exact": false}
 * "exact" says whether the answer has the same tokens as that of the data; "expected" and "exact" are null if the data
 * has none. */
enum err_code question_answer_lines(struct str *lines, const struct question *questions, size_t count,
                                    const struct session *s, const struct question_options *options,
                                    const char *begin, struct err *e);

/* Collective. Appends the lines of all ranks, in the order of the ranks, to `out` on rank 0. */
enum err_code question_gather(struct str *out, struct dist *d, const struct str *lines, struct err *e);

#endif
