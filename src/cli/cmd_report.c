#include "base/log.h"
#include "cli/commands.h"
#include "report/report.h"

enum err_code cmd_report(const struct options *o, struct dist *d, struct err *e)
{
    (void)d;
    const char *folder = o->set.argument;
    enum err_code code = report_write(folder, e);
    if (!code)
        log_note("%s/report.html, report.csv and report.json are written", folder);
    return code;
}
