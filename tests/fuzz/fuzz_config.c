/* A YAML configuration: of a run, which written and read again must be the same, and of a study. */
#include "fuzz.h"

#include <string.h>

#include "base/str.h"
#include "run/options.h"
#include "run/study_grid.h"

static enum err_code read_options(struct options *o, const char *bytes, size_t size, struct err *e)
{
    *o = (struct options){0};
    if (opt_init(&o->set, &options_table, o, "train", e))
        return e->code;
    return opt_read_config(&o->set, fuzz_path("config.yaml"), bytes, size, e);
}

static void write_and_read(const struct options *o)
{
    struct str text = {0}, again = {0};
    struct options same;
    struct err e = {0};
    enum err_code code = options_write_yaml(o, &text, &e);
    if (code) { /* bytes of a quoted value that no YAML can hold */
        fuzz_check(code == ERR_USAGE, e.message);
    } else {
        fuzz_need(read_options(&same, text.data, text.length, &e), &e);
        fuzz_need(options_write_yaml(&same, &again, &e), &e);
        fuzz_check(strcmp(text.data, again.data) == 0, "a configuration that changes when it is written");
        options_release(&same);
    }
    str_release(&text);
    str_release(&again);
}

static enum err_code read_study(const char *bytes, size_t size, struct err *e)
{
    struct options given = {0}, cell;
    struct study_grid grid = {0};
    enum err_code code = opt_init(&given.set, &options_table, &given, "study", e);
    if (!code)
        code = study_grid_read(&grid, &given, fuzz_path("config.yaml"), bytes, size, e);
    for (size_t i = 0; !code && i < grid.count && i < 8; i++) {
        code = study_grid_options(&grid, &grid.cells[i], &cell, e);
        options_release(&cell);
    }
    study_grid_release(&grid);
    options_release(&given);
    return code;
}

enum err_code fuzz_read(const char *bytes, size_t size, struct err *e)
{
    struct options o;
    struct err of_study = {0};
    enum err_code code = read_options(&o, bytes, size, e), second = read_study(bytes, size, &of_study);
    if (!code)
        write_and_read(&o);
    options_release(&o);
    return code ? code : second ? (*e = of_study).code : ERR_OK;
}
