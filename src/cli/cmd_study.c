#include "cli/commands.h"

#include "train/study.h"

enum err_code cmd_study(const struct options *o, struct dist *d, struct err *e)
{
    return study_run(o, d, e);
}
