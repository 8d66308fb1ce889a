/*
 * What a folder that a user names is: a run, a study, something inside one of them, an adapter or a model. Commands
 * that write refuse a folder of another kind, in which two things would mix, and commands that read say which folder
 * inside or around it they need.
 */
#ifndef MPILORA_RUN_FOLDER_H
#define MPILORA_RUN_FOLDER_H

#include <stdbool.h>

#include "base/err.h"
#include "run/options.h"

enum folder_kind {
    FOLDER_OTHER,       /* also if it does not exist, or is empty */
    FOLDER_ADAPTER,     /* PEFT's */
    FOLDER_MODEL,       /* has a config.json */
    FOLDER_STUDY,       /* has a study.yaml */
    FOLDER_RUN,         /* config.yaml, checkpoints */
    FOLDER_CELLS,       /* the folder `cells` of a study */
    FOLDER_CHECKPOINTS, /* the folder `checkpoints` of a run */
};

enum folder_kind folder_kind_of(const char *path);

/* ERR_USAGE if a run (`kind` FOLDER_RUN) or a study (FOLDER_STUDY) must not write into this folder, because it is one
 * of another kind. */
enum err_code folder_check_output(const char *path, enum folder_kind kind, struct err *e);

/* ERR_USAGE if an export must not be written to this path: it is the model itself, or the folder of a model, a run or a
 * study; or there is something already, and the user has not said that it may be replaced, or it is no adapter of this
 * format. A merged model replaces nothing. */
enum err_code folder_check_export(const char *path, const char *model, enum option_format format, bool overwrite,
                                  struct err *e);

/* ERR_USAGE if there is nothing at this path; ERR_IO if this user must not read what is there, and so cannot be told
 * what it is. */
enum err_code folder_check_reach(const char *path, struct err *e);

/* Sets an error, usually of class ERR_USAGE: the folder is not what is wanted here (a run, say), what it is if that is
 * known, and what to give instead; or that of folder_check_reach(). `wanted` goes after "this is". */
enum err_code folder_refuse(const char *path, const char *wanted, struct err *e);

#endif
