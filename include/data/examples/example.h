/*
 * One line of training data -> one example: token ids and which of them carry loss.
 *
 *   {"text"}                           ids of the text with the post-processor's special tokens, then EOS;
 *                                      every token but the first is supervised
 *   {"prompt","completion"}            ids of the prompt with the special tokens that the post-processor puts
 *                                      in front (BOS), ids of the completion with none, then EOS unless it
 *                                      ends with that; the completion's tokens and EOS are supervised
 *   {"messages"}, or the same as {"prompt","completion"} of messages, {"conversations"} (sharegpt),
 *   {"instruction","input","output"}   the chat template's rendering, without special tokens around it; a token is
 *                                      supervised when it lies wholly inside a turn of an assistant's (chat_template.h)
 *                                      that --train-on and the message's "weight" and "train" do not leave out. Where a
 *                                      model has no chat template, instruction and input are a prompt, output its
 *                                      completion
 *
 * conversation.h has what these forms become; example_keys.h what they refuse.
 */
#ifndef MPILORA_DATA_EXAMPLES_EXAMPLE_H
#define MPILORA_DATA_EXAMPLES_EXAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "data/examples/chat.h"
#include "data/examples/columns.h"
#include "data/tokenizer/tokenizer.h"

enum example_form {
    EXAMPLE_TEXT,
    EXAMPLE_COMPLETION,
    EXAMPLE_MESSAGES,
    EXAMPLE_PROMPT_MESSAGES,
    EXAMPLE_ALPACA,
    EXAMPLE_SHAREGPT,
    EXAMPLE_FORM_COUNT
};

/* "text", "completion", "messages", ... */
const char *example_form_name(enum example_form form);

/* What may be wrong with an example that can be trained all the same; a set of bits. */
enum example_note {
    NOTE_DOUBLED_BOS, /* begins with two BOS tokens */
    NOTE_LOST_SYSTEM, /* the chat template prints nothing of a system message */
    NOTE_LOST_CALLS,  /* nor of tool calls */
    NOTE_BARE_PARTS,  /* it prints a list of parts as Python writes lists */
    NOTE_CUT_ANSWER,  /* --max-length cuts it inside of an answer */
    NOTE_UNENDED,     /* no answer in it has the token that ends one: EOS, or the end of a turn */
    NOTE_FULL,        /* every token but the first is supervised, and not because that was asked for */
    NOTE_COUNT
};

struct example {
    enum example_form form;
    unsigned notes; /* bit NOTE_... */
    int32_t *tokens;     /* [count] */
    uint8_t *supervised; /* [count]; token i is predicted from token i - 1, so supervised[0] is 0 */
    size_t count, capacity;
    size_t supervised_count;
    bool truncated;
    bool had_bos; /* the text began with that of the BOS token, which the tokenizer puts in front by itself */
};

enum example_train_on {
    TRAIN_ON_ANSWERS, /* completions, and assistants' messages */
    TRAIN_ON_LAST,    /* of a conversation, the assistant's last message */
    TRAIN_ON_ALL      /* every token but the first */
};

struct example_options {
    size_t max_length;
    enum example_train_on train_on;
    const struct chat *chat; /* NULL: the model has no chat template */
    const struct columns *columns; /* NULL: no key is renamed */
};

void example_release(struct example *ex);

/* The ids of a prompt, in training and wherever it is to be continued. A prompt that begins with the BOS token's
 * own text gets no second one from the post-processor; *had_bos says so. */
enum err_code example_encode_prompt(struct ids *ids, bool *had_bos, const struct tokenizer *t,
                                    const char *text, size_t length, struct err *e);

/* Scratch memory for one thread; zero-initialise, example_scratch_release(). */
struct example_scratch {
    struct ids ids;
    struct str line;               /* as it was read from the file */
    struct str text;               /* a line's messages, or its prompt */
    struct chat_renderer *renderer; /* NULL until there is a conversation */
};
void example_scratch_release(struct example_scratch *s);

/* Parses one line (without its line end). A line that is not JSON, not UTF-8, has wrong fields or no
 * supervised token left is ERR_DATA with the reason alone: the caller knows file and line. Examples over
 * max_length are cut at the end. ERR_UNSUPPORTED when the model cannot take such a line at all: no EOS token,
 * or no chat template that can be used. `t` may be NULL: then JSON, fields and messages are checked, and the
 * example has no tokens. */
enum err_code example_parse(struct example *ex, struct example_scratch *scratch, const struct tokenizer *t,
                            const char *line, size_t length, const struct example_options *options,
                            struct err *e);

#endif
