#include "base/log.h"
#include "cli/commands.h"
#include "report/report.h"
#include "run/rundir.h"

enum err_code cmd_report(const struct options *o, struct dist *d, struct err *e)
{
    (void)d;
    const char *folder = o->set.argument;
    enum err_code code = report_write(folder, e);
    if (!code)
        log_note("%s/%s, %s, %s and %s are written", folder, rundir_name(RUNDIR_REPORT_HTML),
                 rundir_name(RUNDIR_REPORT_CSV), rundir_name(RUNDIR_REPORT_METRICS), rundir_name(RUNDIR_REPORT_JSON));
    return code;
}
