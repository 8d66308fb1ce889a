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

enum err_code report_write(const char *folder, struct err *e)
{
    struct report r;
    struct str text = {0};
    enum err_code code = report_read(&r, folder, e);
    if (!code)
        rundir_clean(folder, RUNDIR_OF_REPORT);
    if (!code && r.is_study)
        code = report_check_claims(&r, e);
    if (!code)
        code = report_is_sweep(&r) ? report_draw_sweep(&r, e)
               : r.is_study        ? report_draw_study(&r, e)
                                   : report_draw_run(&r, e);
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
