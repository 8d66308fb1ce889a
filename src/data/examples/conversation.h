/*
 * A line that is a conversation, whatever its form, as `messages`: what the chat template sees, and which of the
 * messages are trained.
 *
 *     messages, tools, documents                 as they stand                                        \
 *     prompt, completion (lists of messages)     one after the other; the completion's are trained     >  messages
 *     conversations [{from, value}] (sharegpt)   roles and tool calls under their usual names         /
 *     instruction, input, output (alpaca)        a question and its answer
 */
#ifndef MPILORA_DATA_EXAMPLES_CONVERSATION_H
#define MPILORA_DATA_EXAMPLES_CONVERSATION_H

#include "data/examples/example.h"

struct conversation {
    const struct json_value *messages, *tools, *documents; /* the latter two: NULL if there are none */
    size_t first;              /* message that may be trained: those before it are a prompt */
    struct json *made, *tools_made; /* what they lie in where the line has them in another form */
};

/* Reads a line of one of these forms, and checks all that the template will not. `work` is overwritten. The line must
 * outlive it; conversation_release(), also after an error. */
enum err_code conversation_read(struct conversation *c, struct str *work, const struct line *l,
                                enum example_form form, struct err *e);
void conversation_release(struct conversation *c);

/* Is the message one whose tokens are trained? */
bool conversation_trains(const struct conversation *c, enum example_train_on train_on, size_t message);
/* Do the messages' keys or --train-on leave some of the assistant's out? */
bool conversation_selects(const struct conversation *c, enum example_train_on train_on);

/* For the forms: a text that must be there; whether "weight" or "train" leave a message out. */
enum err_code conversation_need_text(const char **text, const struct line *l, const char *key, struct err *e);
enum err_code conversation_read_train(bool *train, const struct json_value *message, bool assistant, struct err *e);

/* The forms (forms.c): write or point to the messages, and tools. */
enum err_code form_read_alpaca(struct conversation *c, struct str *work, const struct line *l, struct err *e);
/* Instruction and input of an alpaca line, joined by a line end, after what `question` has. */
enum err_code form_join_alpaca(struct str *question, const struct line *l, struct err *e);
enum err_code form_read_sharegpt(struct conversation *c, struct str *work, const struct line *l, struct err *e);
enum err_code form_read_prompt_messages(struct conversation *c, struct str *work, const struct line *l,
                                        struct err *e);

#endif
