#include "report/report.h"

#include <limits.h>

#include "base/file.h"
#include "run/rundir.h"
#include "report_data.h"

static enum err_code write_file(struct str *text, const char *folder, enum rundir_file file, struct err *e)
{
    char path[PATH_MAX];
    enum err_code code = rundir_path(path, folder, file, e);
    if (!code)
        code = file_write_atomic(path, text->data, text->length, e);
    str_clear(text);
    return code;
}

/* Claims and figures of what was read. */
static enum err_code prepare(struct report *r, struct err *e)
{
    if (r->is_study && report_check_claims(r, e))
        return e->code;
    return r->is_several          ? report_draw_several(r, e)
           : report_is_sweep(r)   ? report_draw_sweep(r, e)
           : r->is_study          ? report_draw_study(r, e)
                                  : report_draw_run(r, e);
}

enum err_code report_write(const char *folder, unsigned reload, struct err *e)
{
    struct report r;
    struct str text = {0};
    enum err_code code = report_read(&r, folder, e);
    r.reload = reload;
    if (!code)
        rundir_clean(folder, RUNDIR_OF_REPORT);
    if (!code)
        code = prepare(&r, e);
    if (!code)
        code = report_make_csv(&text, &r, e);
    if (!code)
        code = write_file(&text, folder, RUNDIR_REPORT_CSV, e);
    if (!code)
        code = report_make_metrics_csv(&text, &r, e);
    if (!code)
        code = write_file(&text, folder, RUNDIR_REPORT_METRICS, e);
    if (!code)
        code = report_make_json(&text, &r, e);
    if (!code)
        code = write_file(&text, folder, RUNDIR_REPORT_JSON, e);
    if (!code)
        code = report_make_html(&text, &r, e);
    if (!code)
        code = write_file(&text, folder, RUNDIR_REPORT_HTML, e);
    str_release(&text);
    arena_release(&r.arena);
    return code;
}

enum err_code report_write_page(const char *path, const struct opt_list *folders, unsigned reload, struct err *e)
{
    struct report r;
    struct str text = {0};
    enum err_code code = folders->count > 1 ? report_read_several(&r, folders->items, folders->count, e)
                                            : report_read(&r, folders->items[0], e);
    r.reload = reload;
    r.is_alone = true;
    if (!code)
        code = prepare(&r, e);
    if (!code)
        code = report_make_html(&text, &r, e);
    if (!code)
        code = file_write_atomic(path, text.data, text.length, e);
    str_release(&text);
    arena_release(&r.arena);
    return code;
}
