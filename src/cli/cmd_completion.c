#include <stdio.h>

#include "cli/commands.h"

enum err_code cmd_completion(const struct options *o, struct dist *d, struct err *e)
{
    (void)d;
    struct str text = {0};
    enum err_code code = options_completion(o->set.argument, &text, e);
    if (!code)
        fwrite(text.data, 1, text.length, stdout);
    str_release(&text);
    return code;
}
