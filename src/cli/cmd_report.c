#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/commands.h"
#include "report/page.h"
#include "report/report.h"
#include "report/watch.h"
#include "run/rundir.h"

enum { USUAL_INTERVAL = 10, PIECE = 16 << 20, QUIET_LOOKS = 2 };

/* Where the page goes that is not beside its run; NULL: it is. */
static const char *page_of(const struct options *o)
{
    return *o->output ? o->output : o->set.arguments.count > 1 ? rundir_name(RUNDIR_REPORT_HTML) : NULL;
}

/* What to do where a run of others is looked at. */
static enum err_code explain(enum err_code code, const struct options *o, struct err *e)
{
    const char *folder = o->set.argument;
    if (code != ERR_IO || page_of(o) || access(folder, R_OK | X_OK) != 0 || access(folder, W_OK) == 0)
        return code;
    return err_set(e, ERR_IO, "%s cannot be written to (%s): --output FILE.html writes the page elsewhere", folder,
                   strerror(errno));
}

static enum err_code write_report(const struct options *o, unsigned reload, struct err *e)
{
    const char *page = page_of(o);
    const enum err_code code = page ? report_write_page(page, &o->set.arguments, reload, e)
                                    : report_write(o->set.argument, reload, e);
    return explain(code, o, e);
}

static void tell(const struct options *o)
{
    const char *page = page_of(o), *folder = o->set.argument;
    if (page)
        log_note("%s is written", page);
    else
        log_note("%s/%s, %s, %s and %s are written", folder, rundir_name(RUNDIR_REPORT_HTML),
                 rundir_name(RUNDIR_REPORT_CSV), rundir_name(RUNDIR_REPORT_METRICS), rundir_name(RUNDIR_REPORT_JSON));
}

/* Looks at all folders: is some run at work, and a mark that changes with what was read. */
static enum err_code look(struct watch *const *watches, size_t count, bool *at_work, uint64_t *mark, struct err *e)
{
    *at_work = false;
    *mark = count;
    for (size_t i = 0; i < count; i++) {
        for (bool more = true; more;)
            if (watch_read(watches[i], PIECE, watch_time(), &more, e))
                return e->code;
        *at_work = *at_work || watch_is_at_work(watches[i]);
        *mark = 31 * *mark + watch_mark(watches[i]);
    }
    return ERR_OK;
}

/* Writes the page whenever there is something new, until no run is at work any more, or a signal comes. *signal: that,
 * or 0. Between two cells of a study nobody is at work for a moment. */
static enum err_code follow(const struct options *o, struct watch *const *watches, const sigset_t *signals, int *signal,
                            struct err *e)
{
    const double interval = o->interval > 0 ? o->interval : USUAL_INTERVAL;
    const time_t whole = (time_t)interval;
    const struct timespec time = {.tv_sec = whole, .tv_nsec = (long)((interval - (double)whole) * 1e9)};
    uint64_t mark = 0, shown = 0;
    bool at_work = false, first = true;
    *signal = 0;
    for (int quiet = 0; quiet < QUIET_LOOKS && !*signal; first = false) {
        if (look(watches, o->set.arguments.count, &at_work, &mark, e))
            return e->code;
        if ((first || mark != shown) && write_report(o, (unsigned)ceil(fmax(interval, 1)), e))
            return e->code;
        if (first)
            tell(o);
        shown = mark;
        quiet = at_work ? 0 : quiet + 1;
        const int came = quiet < QUIET_LOOKS ? sigtimedwait(signals, NULL, &time) : 0;
        *signal = came > 0 ? came : 0;
    }
    return write_report(o, 0, e); /* the last one stays as it is */
}

static enum err_code follow_all(const struct options *o, struct err *e)
{
    const struct opt_list *folders = &o->set.arguments;
    struct watch **watches = calloc(folders->count, sizeof(*watches));
    sigset_t signals, before;
    int signal = 0;
    if (!watches)
        return err_set(e, ERR_MEMORY, "no memory for %zu runs", folders->count);
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, &before);
    enum err_code code = ERR_OK;
    for (size_t i = 0; !code && i < folders->count; i++)
        code = watch_open(&watches[i], folders->items[i], NULL, e);
    if (!code)
        code = follow(o, watches, &signals, &signal, e);
    for (size_t i = 0; i < folders->count; i++)
        watch_close(watches[i]);
    free(watches);
    if (signal)
        raise(signal);
    sigprocmask(SIG_SETMASK, &before, NULL); /* now it ends the program */
    return code;
}

enum err_code cmd_report(const struct options *o, struct dist *d, struct err *e)
{
    const char *page = page_of(o);
    (void)d;
    if (page && page_check_path(page, "--output", e))
        return e->code;
    if (o->follow)
        return follow_all(o, e);
    enum err_code code = write_report(o, 0, e);
    if (!code)
        tell(o);
    return code;
}
