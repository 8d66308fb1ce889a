/*
 * Converts one line of training data to one example: token ids, and which of them carry loss.
 *
 *   {"text"}                     ids of the text with the special tokens that the tokenizer adds, then EOS;
 *                                every token except the first is supervised
 *   {"prompt","completion"}      ids of the prompt with the special tokens that the tokenizer puts before a text
 *                                (BOS), ids of the completion without special tokens, then EOS unless it ends
 *                                with EOS; the tokens of the completion and EOS are supervised
 *   conversations                ids of the text that the chat template renders, without added special tokens; a
 *                                token is supervised if it lies completely inside a turn of the assistant
 *                                (chat_template.h) that --train-on and the message's "weight" and "train" do not
 *                                exclude
 *   {"prompt","chosen",          a preference pair (pair.h): the ids of the prompt with the chosen answer, then those
 *    "rejected"}                 of the prompt with the rejected one, each as a completion or a conversation; if the
 *                                sides share their prompt, its ids come once
 *
 * Forms of conversations: {"messages"}; {"prompt","completion"} as lists of messages; {"conversations"} (sharegpt);
 * {"instruction","input","output"} (alpaca). If the model has no chat template, instruction and input of alpaca are
 * the prompt, and output is the completion.
 *
 * conversation.h describes how these forms become messages; example_keys.h which keys they refuse.
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
    EXAMPLE_PREFERENCE,
    EXAMPLE_PREFERENCE_MESSAGES,
    EXAMPLE_FORM_COUNT
};

/* "text", "completion", "messages", ... */
const char *example_form_name(enum example_form form);

/* Is it a conversation, which the chat template renders if the model has one? */
bool example_form_talks(enum example_form form);

/* What may be wrong with an example although it can be trained. */
enum example_note {
    NOTE_DOUBLED_BOS, /* begins with two BOS tokens */
    NOTE_LOST_SYSTEM,    /* the chat template does not print the system message */
    NOTE_LOST_CALLS,     /* the chat template does not print tool calls */
    NOTE_LOST_CONTENT,   /* the chat template does not print the content of another message */
    NOTE_LOST_REASONING, /* the chat template does not print the reasoning of the last message */
    NOTE_LOST_TOOLS,     /* the chat template does not use the tools */
    NOTE_LOST_DOCUMENTS, /* the chat template does not use the documents */
    NOTE_BARE_PARTS,     /* it prints a list of content parts in Python's notation for lists */
    NOTE_CUT_ANSWER,     /* --max-length cuts it within an answer */
    NOTE_UNENDED,        /* no answer in it has a token that ends it: EOS, or the end of a turn */
    NOTE_BEYOND,         /* it, or of a pair the longer side, has more tokens than options.positions */
    NOTE_FULL,           /* every token but the first is supervised, although this was not asked for */
    NOTE_NO_PROMPT,      /* the prompt, or what a user says, is blank */
    NOTE_NO_ANSWER,      /* a completion, or what a trained assistant says, is blank */
    NOTE_GLUED,          /* a word of the prompt, or the end of a sentence, directly before a word of the completion */
    NOTE_JOINED,         /* an instruction before its answer, since there is no chat template to tell them apart */
    NOTE_COUNT
};

struct example {
    enum example_form form;
    unsigned notes; /* a set of bits: 1 << NOTE_... */
    int32_t *tokens;     /* [count] */
    uint8_t *supervised; /* [count] marks (base/mark.h); token i is predicted from token i - 1, so supervised[0] is 0 */
    size_t count, capacity;
    size_t split; /* of a pair: tokens before it are those with the chosen answer; otherwise 0 */
    size_t shared; /* of a pair: that many first tokens of the chosen side come before those after `split`; see
                    * options.shares */
    size_t supervised_count;
    /* Tokens before cutting, of a pair those of its longer side; also of a line of which cutting leaves nothing to
     * learn. */
    size_t whole_count;
    uint32_t columns;   /* a set of bits: the line, even a bad one, has the old name of that item of the columns */
    bool truncated;
    bool unanswered; /* with options.asks: the line ends before its answer, and no token is supervised */
    bool had_bos; /* the text itself begins with the text of the BOS token, which the tokenizer adds anyway */
};

enum example_train_on {
    TRAIN_ON_ANSWERS, /* completions, and assistants' messages */
    TRAIN_ON_LAST,    /* of a conversation, the assistant's last message */
    TRAIN_ON_ALL      /* every token but the first; of pairs, for the likelihood of the chosen side */
};

enum example_pairs {
    PAIRS_REFUSED,
    PAIRS_TAKEN, /* beside other forms */
    PAIRS_ALONE  /* every other form is a bad line */
};

struct example_options {
    size_t max_length;
    size_t positions; /* that the model was made for; 0: any */
    enum example_train_on train_on;
    const struct chat *chat; /* NULL: the model has no chat template */
    const struct columns *columns; /* NULL: no key is renamed */
    /* The data has questions: a line may end before its answer, as a single prompt, a plain text, or a
     * conversation, which then ends with the generation prompt. If there are answers, only the last one is
     * supervised, whatever its weight. */
    bool asks;
    enum example_pairs pairs;
    /* The sides of a pair share their prompt: the rejected one leaves out the tokens that it begins with, that carry no
     * loss in it, and that the chosen one begins with, too. */
    bool shares;
    /* A side of at most so many tokens shares nothing with one of more, because the model rotates them differently
     * (arch_short_positions()); 0: any may. */
    size_t short_positions;
};

void example_release(struct example *ex);

/* The ids of a prompt, for training and for generation. If the prompt begins with the text of the BOS token, no
 * second BOS is added, and *had_bos is true. */
enum err_code example_encode_prompt(struct ids *ids, bool *had_bos, const struct tokenizer *t,
                                    const char *text, size_t length, struct err *e);

/* Scratch memory for one thread. Zero-initialise it; release it with example_scratch_release(). */
struct example_scratch {
    struct ids ids;
    struct str line;                /* the line from the file */
    struct str text;                /* the messages or the prompt of the line */
    struct example rejected;        /* that side of a pair */
    struct str prompt, chosen;      /* what the template printed before the last answer, and before the chosen one */
    struct chat_renderer *renderer; /* NULL until there is a conversation */
};
void example_scratch_release(struct example_scratch *s);

/* Parses one line (without its line end). ERR_DATA if it is not JSON, is not UTF-8, has wrong fields or has no
 * supervised token left; the message has only the reason, because the caller knows file and line. Examples longer
 * than max_length are cut at the end, pairs at the beginning (pair.h). ERR_UNSUPPORTED if the model lacks what such a
 * line needs: an EOS token, or a usable chat template. `t` may be NULL: then JSON, fields and messages are checked,
 * and the example has no tokens. */
enum err_code example_parse(struct example *ex, struct example_scratch *scratch, const struct tokenizer *t,
                            const char *line, size_t length, const struct example_options *options,
                            struct err *e);

#endif
