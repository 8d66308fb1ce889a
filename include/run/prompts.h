/*
 * In which form a run's examples have their prompts, for those who ask its adapter: with the chat template or as they
 * stand. Checkpoints and exports record it.
 */
#ifndef MPILORA_RUN_PROMPTS_H
#define MPILORA_RUN_PROMPTS_H

struct dataset; /* data/examples/dataset.h */

enum prompts { PROMPTS_UNKNOWN, PROMPTS_PLAIN, PROMPTS_CHAT };

/* PROMPTS_UNKNOWN if some examples go through the chat template and some do not. */
enum prompts prompts_of(const struct dataset *d);

/* As it is recorded; NULL for PROMPTS_UNKNOWN. And back: a text that is none of these, or NULL, is PROMPTS_UNKNOWN. */
const char *prompts_name(enum prompts p);
enum prompts prompts_named(const char *name);

#endif
