/*
 * Preference pairs: a prompt with two answers, of which people preferred one.
 *
 *     {"prompt", "chosen", "rejected"}   strings, or lists of messages
 *     {"chosen", "rejected"}             both begin with their prompt: the messages that are the same in both, or of
 *                                        strings the tokens
 *
 * and, written as lists of messages by pair_write_lists():
 *
 *     {"conversations", "chosen", "rejected"}   of sharegpt: {from, value}, a message for each answer; also "messages"
 *     {"prompt", "chosen", "rejected"}          lists in which messages are {from, value}; answers that are a message,
 *                                               or after a list of messages a string
 *
 * Each answer with its prompt is a sequence of its own, a side, as {"prompt", "completion"} is. A side that is longer
 * than --max-length loses tokens of the prompt, from its beginning but after BOS, and the other side loses as many, so
 * that both answers remain whole and answer the same. Internal to examples/.
 */
#ifndef MPILORA_DATA_EXAMPLES_PAIR_H
#define MPILORA_DATA_EXAMPLES_PAIR_H

#include "data/examples/example.h"

extern const char *const pair_keys[2]; /* "chosen", "rejected" */

/* A pair in one of the latter forms: *made has the lists under the names of the former, and null under those that they
 * replace. Otherwise *made is NULL. `work` is overwritten. ERR_DATA: messages that cannot be read, or an answer that is
 * a list of strings. The caller calls json_close(*made), also after an error. */
enum err_code pair_write_lists(struct json **made, struct str *work, const struct line *l, struct err *e);

/* Checks what makes a line a pair; *shared is the number of messages that begin both answers and belong to the prompt.
 * ERR_DATA: prompt and answers are not all strings or all lists, one answer is the beginning of the other although
 * both begin with the prompt, both are the same, they answer different prompts, or they begin with the prompt that
 * stands before them, too: one answer that is a list, or both that are strings. */
enum err_code pair_check(size_t *shared, const struct line *l, enum example_form form, struct err *e);

/* ERR_DATA: this side has no answer. */
enum err_code pair_refuse_empty(size_t side, struct err *e);

/* What a chat template has printed before the first message of each answer. One text may be longer, as where an empty
 * thinking block follows. ERR_DATA if they differ: then the template prints the prompt as the answer is, and the
 * answers would be those of two prompts; TRL refuses such pairs, too. */
enum err_code pair_check_prompts(const struct str *chosen, const struct str *rejected, struct err *e);

/* Two sides that begin with their prompt: supervises each from the first token that is not the same in both, or from
 * the character that this token is in. `ids` are the rejected side's, of `text`. ERR_DATA if nothing, or only BOS, is
 * before that token. */
enum err_code pair_mark_answers(struct example *chosen, struct example *rejected, const struct ids *ids,
                                const char *text, int32_t bos, struct err *e);

/* Cuts the sides, counts what is supervised in each, and sets whole_count and truncated. With --train-on all the rest
 * of the chosen side is marked for the likelihood (base/mark.h). ERR_DATA if nothing of a side is supervised, no token
 * is before an answer, both have the same tokens, or the answers are too long to keep a token of the prompt. */
enum err_code pair_cut(struct example *chosen, struct example *rejected, int32_t bos,
                       const struct example_options *options, struct err *e);

/* The number of tokens that begin both sides and carry no loss in the rejected one; short_positions is that of
 * example_options. At least one token of each side is left, the supervised ones of the rejected. */
size_t pair_count_shared(const struct example *chosen, const struct example *rejected, size_t short_positions);

#endif
