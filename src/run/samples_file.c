#include "run/samples_file.h"

#include "io/json.h"

static bool is_of_past(void *step, const char *line, size_t length)
{
    struct json *doc;
    struct err ignored;
    size_t number = 0;
    if (json_open_bytes(&doc, line, length, "line", &ignored))
        return false;
    const struct json_fields f = {.object = json_root(doc)};
    bool kept = !json_need_size(&number, &f, "step", &ignored) && number <= *(const uint64_t *)step;
    json_close(doc);
    return kept;
}

enum err_code samples_file_open(struct lines_file *f, const struct runlock *lock, uint64_t step, struct err *e)
{
    return lines_open(f, lock, RUNDIR_SAMPLES, is_of_past, &step, e);
}
