#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/facts.h"
#include "cli/terminal.h"
#include "report/watch.h"

enum { USUAL_INTERVAL = 2, PIECE = 16 << 20 }; /* bytes of a file between two looks at the keys */

/* As the locale has it. It need not be installed here: the terminal may be that of another machine. */
static bool speaks_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    const char *locale = "";
    for (size_t i = 0; i < sizeof names / sizeof *names && !*locale; i++) {
        const char *value = getenv(names[i]);
        locale = value ? value : "";
    }
    return strcasestr(locale, "utf-8") || strcasestr(locale, "utf8");
}

/* Columns of one picture: those of the terminal; elsewhere as COLUMNS has it, or 80. */
static size_t columns_of_one(void)
{
    size_t columns = 80, rows;
    const char *given = getenv("COLUMNS");
    const long number = given ? strtol(given, NULL, 10) : 0;
    if (isatty(STDOUT_FILENO))
        terminal_size(&columns, &rows);
    else if (number >= 20 && number <= 1000)
        columns = (size_t)number;
    return columns;
}

static enum err_code print_once(struct watch *w, struct watch_look *look, struct err *e)
{
    struct str picture = {0};
    enum err_code code = ERR_OK;
    for (bool more = true; !code && more;)
        code = watch_read(w, PIECE, watch_time(), &more, e);
    look->columns = columns_of_one();
    if (!code)
        code = watch_draw(&picture, w, 0, look, e);
    if (!code)
        fwrite(picture.data, 1, picture.length, stdout);
    str_release(&picture);
    return code;
}

static enum err_code show(struct terminal *t, const struct watch *w, size_t chosen, struct watch_look *look,
                          struct err *e)
{
    struct str picture = {0};
    terminal_size(&look->columns, &look->rows);
    enum err_code code = watch_draw(&picture, w, chosen, look, e);
    if (!code)
        terminal_show(t, &picture);
    str_release(&picture);
    return code;
}

static enum err_code watch_on(struct watch *w, struct watch_look *look, double interval, struct err *e)
{
    struct terminal t;
    size_t chosen = 0;
    bool more = true, quits = false;
    enum err_code code = terminal_open(&t, e);
    while (!code && !quits) {
        code = watch_read(w, PIECE, watch_time(), &more, e);
        for (bool looks = true; !code && looks;) { /* keys and a new size need nothing new */
            const size_t count = watch_count(w);
            chosen = chosen < count ? chosen : count ? count - 1 : 0;
            code = show(&t, w, chosen, look, e);
            const enum terminal_event event = code ? TERMINAL_QUIT : terminal_wait(&t, more ? 0 : interval);
            looks = event != TERMINAL_TIME;
            quits = event == TERMINAL_QUIT || event == TERMINAL_SIGNAL;
            if (quits)
                break;
            if (event == TERMINAL_NEXT && count)
                chosen = (chosen + 1) % count;
            if (event == TERMINAL_BACK && count)
                chosen = (chosen + count - 1) % count;
        }
    }
    terminal_close(&t);
    return code;
}

enum err_code cmd_watch(const struct options *o, struct dist *d, struct err *e)
{
    struct watch *w = NULL;
    struct watch_look look = {.ascii = !speaks_utf8(), .colour = facts_coloured()};
    (void)d;
    enum err_code code = watch_open(&w, o->set.argument, *o->log ? o->log : NULL, e);
    look.keys = !o->once && terminal_can_show();
    const double interval = o->interval > 0 ? o->interval : USUAL_INTERVAL;
    if (!code)
        code = look.keys ? watch_on(w, &look, interval, e) : print_once(w, &look, e);
    watch_close(w);
    return code;
}
