/*
 * The date for chat templates: the day on which a run first started, unless --chat-date sets another one. It is
 * stored with the run's options, so that a resumed run renders the same texts as before, whatever the date.
 */
#ifndef MPILORA_RUN_FIRST_DAY_H
#define MPILORA_RUN_FIRST_DAY_H

#include "ranks/dist.h"
#include "run/options.h"

/* An unfinished file of answers to prompts (train/answers.h): the suffix of its name, and the key of the date in
 * its first line, a JSON object. */
#define ANSWERS_PART ".part"
#define ANSWERS_DATE "chat_date"

/* Collective. Sets --chat-date if the command takes it and the user did not give it: for a resumed run or study or
 * unfinished answers, to the stored date (or not at all, if an older version without this option stored it); otherwise
 * to today's date on rank 0's host. A file that cannot be read is not an error here, since the code that resumes from
 * it reports it. */
enum err_code first_day_settle(struct options *o, struct dist *d, struct err *e);

#endif
