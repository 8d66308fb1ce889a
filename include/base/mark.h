/*
 * What a token of an example counts for in training, in one byte: arrays of marks are called `supervised`.
 */
#ifndef MPILORA_BASE_MARK_H
#define MPILORA_BASE_MARK_H

enum mark {
    MARK_NONE,      /* nothing: context for the tokens after it */
    MARK_ANSWER,    /* carries loss: it is supervised */
    MARK_LIKELIHOOD /* of the prompt of a chosen answer: only the likelihood of an objective counts it, too */
};

#endif
