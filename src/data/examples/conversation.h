/*
 * Converts a line that is a conversation, in any form, to `messages`, as chat templates need them, and says which
 * messages are trained.
 *
 *     messages, tools, documents                 unchanged                                            \
 *     prompt, completion (lists of messages)     one after the other; the completion's are trained     >  messages
 *     conversations [{from, value}] (sharegpt)   roles and tool calls get their usual names           /
 *     instruction, input, output (alpaca)        a question and its answer
 */
#ifndef MPILORA_DATA_EXAMPLES_CONVERSATION_H
#define MPILORA_DATA_EXAMPLES_CONVERSATION_H

#include "data/examples/example.h"

struct conversation {
    const struct json_value *messages, *tools, *documents; /* the latter two: NULL if there are none */
    size_t first;              /* first message that may be trained: those before it are the prompt */
    struct json *made, *tools_made; /* own the messages and tools if they had to be converted */
};

/* Reads a line of one of these forms and checks everything that the template does not check. `work` is overwritten.
 * The line must outlive `c`. Call conversation_release(), also after an error. */
enum err_code conversation_read(struct conversation *c, struct str *work, const struct line *l,
                                enum example_form form, struct err *e);
void conversation_release(struct conversation *c);

/* Is the last message an assistant's? */
bool conversation_is_answered(const struct conversation *c);

/* Is any? */
bool conversation_has_assistant(const struct conversation *c);

/* Are tokens of this message supervised? */
bool conversation_trains(const struct conversation *c, enum example_train_on train_on, size_t message);
/* Do the messages' keys or --train-on exclude some of the assistant's messages? */
bool conversation_selects(const struct conversation *c, enum example_train_on train_on);

/* For the forms: reads a text that must exist; reads "weight" and "train", which may exclude a message. */
enum err_code conversation_need_text(const char **text, const struct line *l, const char *key, struct err *e);
enum err_code conversation_read_train(bool *train, const struct json_value *message, bool assistant, struct err *e);

/* The forms (forms.c): set the messages and tools, converted or as pointers into the line. */
enum err_code form_read_alpaca(struct conversation *c, struct str *work, const struct line *l, struct err *e);
/* Appends instruction and input of an alpaca line to `question`, joined by a line end. */
enum err_code form_join_alpaca(struct str *question, const struct line *l, struct err *e);
/* Append a message to a list that is being written, and begins with "[": one of a role, and one of sharegpt, {from,
 * value}, of the list of this name. */
enum err_code form_add_message(struct str *out, const char *role, const char *content, size_t length, struct err *e);
enum err_code form_add_spoken(struct str *out, const struct json_value *spoken, const char *list, struct err *e);
enum err_code form_read_sharegpt(struct conversation *c, struct str *work, const struct line *l, struct err *e);
enum err_code form_read_prompt_messages(struct conversation *c, struct str *work, const struct line *l,
                                        struct err *e);

#endif
