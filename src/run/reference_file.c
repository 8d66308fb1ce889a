#include "run/reference_file.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "io/h5/h5.h"
#include "run/rundir.h"

static const char training[] = "/training", evaluation[] = "/evaluation", inputs[] = "computed_with";

#define NAME_SIZE 64

static enum err_code read_values(double *values, size_t pairs, struct h5_reader *r, const char *name, struct err *e)
{
    return h5_read(r, name, H5_F64, 1, (const uint64_t[]){2 * pairs}, values, e);
}

/* The name in the first line that is not the same in both texts, which differ. */
static void name_difference(char name[NAME_SIZE], const char *now, const char *then)
{
    size_t line = 0;
    for (size_t i = 0; now[i] && now[i] == then[i]; i++)
        line = now[i] == '\n' ? i + 1 : line;
    const char *text = now[line] ? now : then;
    snprintf(name, NAME_SIZE, "%.*s", (int)strcspn(text + line, ":"), text + line);
}

/* Without reading the values if they are not the same. */
static enum err_code read_file(bool *same, char different[NAME_SIZE], struct reference_values *v, const char *path,
                               struct err *e)
{
    struct arena arena = {0};
    struct h5_reader *r = NULL;
    const char *then = "";
    *same = false;
    if (h5_open(&r, path, true, e))
        return e->code;
    enum err_code code = h5_get_text(&then, r, "/", inputs, &arena, e);
    *same = !code && !strcmp(v->inputs, then);
    if (!*same)
        name_difference(different, v->inputs, then);
    if (*same)
        code = read_values(v->training, v->training_pairs, r, training, e);
    if (*same && !code && v->evaluation)
        code = read_values(v->evaluation, v->evaluation_pairs, r, evaluation, e);
    h5_close(r);
    arena_release(&arena);
    return code;
}

/* The length of a message without what to do about it, which is done here. */
static int without_advice(const char *message)
{
    const char *advice = strstr(message, "use another file");
    size_t length = advice ? (size_t)(advice - message) : strlen(message);
    while (advice && length && strchr(" :;", message[length - 1]))
        length--;
    return (int)length;
}

enum err_code reference_file_read(bool *found, struct reference_values *v, const char *folder, struct err *e)
{
    char path[PATH_MAX], different[NAME_SIZE];
    struct err damage;
    bool same = false;
    *found = false;
    if (rundir_path(path, folder, RUNDIR_REFERENCE, e))
        return e->code;
    if (!file_exists(path))
        return ERR_OK;
    if (read_file(&same, different, v, path, &damage))
        log_warn("%.*s: the reference is recomputed", without_advice(damage.message), damage.message);
    else if (!same)
        log_note("%s was computed with a different %s: the reference is recomputed", path, different);
    else
        *found = true;
    return ERR_OK;
}

static void write_values(struct h5_writer *w, const char *name, const double *values, size_t pairs)
{
    h5_write(w, name, H5_F64, 1, (const uint64_t[]){2 * pairs}, values);
}

static enum err_code write_inside(const struct reference_values *v, const struct runlock *lock, const char *folder,
                                  struct err *e)
{
    char path[PATH_MAX];
    struct h5_writer *w = NULL;
    if (rundir_path(path, folder, RUNDIR_REFERENCE, e) || h5_create(&w, path, e))
        return e->code;
    h5_attribute_text(w, "/", inputs, v->inputs);
    write_values(w, training, v->training, v->training_pairs);
    if (v->evaluation)
        write_values(w, evaluation, v->evaluation, v->evaluation_pairs);
    if (h5_finish(w, e) || runlock_check(lock, e)) {
        h5_discard(w);
        return e->code;
    }
    return h5_commit(w, e);
}

enum err_code reference_file_write(const struct reference_values *v, const struct runlock *lock, struct err *e)
{
    struct file_folder in;
    if (runlock_enter(&in, lock, e))
        return e->code;
    return file_folder_leave(&in, write_inside(v, lock, in.inside, e), e);
}
