/*
 * What a study is made of: the cells (study.c), and what the groups of ranks tell each other of them (study_news.c).
 */
#ifndef MPILORA_TRAIN_STUDY_PARTS_H
#define MPILORA_TRAIN_STUDY_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/file.h"
#include "data/examples/dataset.h"
#include "ranks/dist.h"
#include "run/study_grid.h"
#include "train/session.h"

/* What rank 0 knows of a cell that this job is to do. OPEN at the end: another job was at work on it. */
enum cell_state { CELL_OPEN, CELL_RUNNING, CELL_FAILED, CELL_DONE, CELL_STATES };

struct study {
    struct dist *ranks, group; /* all; those that share a cell with this one */
    size_t groups;
    size_t part, parts; /* of the cells, for this job */
    struct study_grid grid;
    struct session session;
    struct dataset data, eval_data;
    bool has_data, has_eval_data;
    char data_hash[FILE_HASH_SIZE];
    size_t *todo; /* numbers of the cells that this job is to do */
    size_t todo_count, done_before, share;
    struct file_stamp opened;   /* of study.yaml, which this job has written before anything else */
    bool stopping;              /* no more cells are taken */
    unsigned char *states;      /* rank 0: [todo_count] enum cell_state */
    size_t counts[CELL_STATES]; /* of them */
    size_t groups_left;         /* rank 0: that take no more cells */
    bool told;      /* rank 0: the leaders know that they are not to; of another leader: it knows */
    uint64_t shown; /* what the last line said, in one number */
    double begun;
};

static inline bool study_leads(const struct study *s)
{
    return s->group.rank == 0;
}

/* What a group's leader tells rank 0: of a cell, by its place among those to do; that a signal has come; that its
 * group takes no more cells. */
enum study_news { NEWS_TAKEN, NEWS_DONE, NEWS_FAILED, NEWS_STOPPED, NEWS_LEFT };
enum err_code study_tell(struct study *s, enum study_news news, size_t cell, struct err *e);

/* A leader: what has arrived. Rank 0 takes note of the news, and of a signal tells the others; they learn that no more
 * cells are to be taken: s->stopping, and s->told. */
enum err_code study_hear(struct study *s, struct err *e);

/* Rank 0 tells the other leaders, once in a study, that no more cells are to be taken: a signal, or the end. */
enum err_code study_tell_leaders(struct study *s, struct err *e);

/* Rank 0: a line when the counts have changed since the last one. */
void study_report_progress(struct study *s);

#endif
