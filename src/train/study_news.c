#include "study_parts.h"

#include <stdio.h>

#include "base/cpu.h"
#include "base/log.h"
#include "base/str.h"

/* The number of the cell stands below the kind. */
static uint64_t make_word(enum study_news news, size_t cell)
{
    return (uint64_t)news << 32 | cell;
}

/* Rank 0: what is known of a cell. What is done stays so, whichever news come late. */
static void set_state(struct study *s, size_t cell, enum cell_state state)
{
    if (s->states[cell] == CELL_DONE)
        return;
    s->counts[s->states[cell]]--;
    s->counts[state]++;
    s->states[cell] = (unsigned char)state;
}

/* Rank 0. */
static void take_news(struct study *s, enum study_news news, size_t cell)
{
    switch (news) {
    case NEWS_TAKEN:
        set_state(s, cell, CELL_RUNNING);
        break;
    case NEWS_DONE:
        set_state(s, cell, CELL_DONE);
        break;
    case NEWS_FAILED:
        set_state(s, cell, CELL_FAILED);
        break;
    case NEWS_STOPPED:
        s->stopping = true;
        break;
    case NEWS_LEFT:
        s->groups_left++;
        break;
    }
}

enum err_code study_tell(struct study *s, enum study_news news, size_t cell, struct err *e)
{
    if (s->ranks->rank > 0)
        return dist_send_word(s->ranks, 0, make_word(news, cell), e);
    take_news(s, news, cell);
    return ERR_OK;
}

enum err_code study_tell_leaders(struct study *s, struct err *e)
{
    for (int leader = s->group.world; leader < s->ranks->world && !s->told; leader += s->group.world)
        if (dist_send_word(s->ranks, leader, 0, e))
            return e->code;
    s->told = true;
    return ERR_OK;
}

enum err_code study_hear(struct study *s, struct err *e)
{
    uint64_t word;
    for (bool found = true; found;) {
        if (dist_take_word(s->ranks, &found, &word, e))
            return e->code;
        if (found && s->ranks->rank == 0)
            take_news(s, (enum study_news)(word >> 32), (size_t)(word & UINT32_MAX));
        else if (found)
            s->told = s->stopping = true;
    }
    if (s->ranks->rank == 0 && s->stopping)
        return study_tell_leaders(s, e);
    return ERR_OK;
}

void study_report_progress(struct study *s)
{
    size_t done = s->counts[CELL_DONE], failed = s->counts[CELL_FAILED], running = s->counts[CELL_RUNNING];
    size_t left = s->counts[CELL_OPEN], ended = done + failed;
    uint64_t now = (uint64_t)ended << 32 | left | UINT64_C(1) << 63;
    if (now == s->shown)
        return;
    s->shown = now;
    char line[160], time[32] = "";
    if (ended) {
        double each = (cpu_seconds() - s->begun) / (double)ended;
        str_format_time(time, sizeof time, each * ((double)left + (double)running / 2));
    }
    snprintf(line, sizeof line, "cells: %zu done, %zu running, %zu failed, %zu left%s%s%s",
             s->done_before + done, running, failed, left, ended ? ", " : "", time, ended ? " to go" : "");
    log_set_speaking(true);
    if (log_is_terminal())
        log_progress(line);
    else
        log_note("%s", line);
    log_set_speaking(false);
}
