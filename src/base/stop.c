#include "base/stop.h"

static bool asked;

void stop_ask(void)
{
    __atomic_store_n(&asked, true, __ATOMIC_RELAXED);
}

bool stop_is_asked(void)
{
    return __atomic_load_n(&asked, __ATOMIC_RELAXED);
}

enum err_code stop_check(const char *what, struct err *e)
{
    if (!stop_is_asked())
        return ERR_OK;
    return err_set(e, ERR_STOPPED,
                   "stopped by a signal before the first step, while %s: nothing is lost, start the same command again",
                   what);
}
