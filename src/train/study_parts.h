/*
 * The parts of a study: running its cells (study.c), and messages about them between the groups of ranks
 * (study_news.c).
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

/* The state of a cell, as rank 0 knows it. OPEN at the end of the study: another job is working on the cell. */
enum cell_state { CELL_OPEN, CELL_RUNNING, CELL_FAILED, CELL_DONE, CELL_STATES };

struct study {
    struct dist *ranks, group; /* all ranks; those that train a cell together with this one */
    size_t groups;
    size_t part, parts; /* this job does part `part` of `parts` of the cells */
    struct study_grid grid;
    struct options first; /* of the first cell */
    struct session session;
    struct dataset data, eval_data;
    bool has_data, has_eval_data;
    char data_hash[FILE_HASH_SIZE];
    size_t *todo; /* numbers of the cells that this job has to do */
    size_t todo_count, done_before, share;
    struct file_stamp opened;   /* of study.yaml, which this job writes before anything else */
    bool stopping;              /* no more cells are started */
    unsigned char *states;      /* rank 0: [todo_count] enum cell_state */
    size_t counts[CELL_STATES]; /* rank 0: number of cells in each state */
    size_t groups_left;         /* rank 0: number of groups that start no more cells */
    bool told;      /* the leaders (on rank 0), or this leader, have been told to start no more cells */
    uint64_t shown; /* the counts in the last progress line, as one number */
    double begun;
};

static inline bool study_leads(const struct study *s)
{
    return s->group.rank == 0;
}

/* The messages of a group's leader to rank 0: the state of a cell, by its index in `todo`; that a signal has come;
 * that its group starts no more cells. */
enum study_news { NEWS_TAKEN, NEWS_DONE, NEWS_FAILED, NEWS_STOPPED, NEWS_LEFT };
enum err_code study_tell(struct study *s, enum study_news news, size_t cell, struct err *e);

/* Called by a leader: receives messages. Rank 0 records the news, and passes a signal on to the other leaders. The
 * others learn that no more cells are to be started: s->stopping and s->told. */
enum err_code study_hear(struct study *s, struct err *e);

/* Rank 0 tells the other leaders, once in a study, to start no more cells: after a signal, or at the end. */
enum err_code study_tell_leaders(struct study *s, struct err *e);

/* Rank 0: prints a line if the counts have changed since the last one. */
void study_report_progress(struct study *s);

#endif
