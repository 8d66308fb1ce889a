#include "run/reference_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "io/h5/h5.h"
#include "run/rundir.h"

static const char training[] = "/training", evaluation[] = "/evaluation", inputs[] = "computed_with",
                  evaluated[] = "evaluated", samples[] = "samples";

#define NAME_SIZE 64

static enum err_code read_set(struct reference_set *set, struct h5_reader *r, const char *path, const char *name,
                              struct err *e)
{
    int64_t count = 0;
    if (h5_read(r, name, H5_F64, 1, (const uint64_t[]){2 * set->pairs}, set->log_prob, e) ||
        h5_get_int(&count, r, name, samples, e))
        return e->code;
    if (count < 0 || (uint64_t)count > set->pairs)
        return err_set(e, ERR_FORMAT, "%s: %s says that %" PRId64 " of %zu pairs are computed", path, name, count,
                       set->pairs);
    set->samples = (uint64_t)count;
    return ERR_OK;
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

/* Without reading values that are not of the same inputs; `different` names what is another one, or is "". */
static enum err_code read_file(char different[NAME_SIZE], struct reference_values *v, struct h5_reader *r,
                               const char *path, struct arena *a, struct err *e)
{
    const char *then = "", *evaluated_then = "";
    if (h5_get_text(&evaluated_then, r, "/", evaluated, a, e) || h5_get_text(&then, r, "/", inputs, a, e))
        return e->code;
    if (strcmp(v->inputs, then) != 0) {
        name_difference(different, v->inputs, then);
        return ERR_OK;
    }
    if (read_set(&v->training, r, path, training, e))
        return e->code;
    if (!v->evaluation.log_prob || strcmp(v->evaluated, evaluated_then) != 0)
        return ERR_OK;
    return read_set(&v->evaluation, r, path, evaluation, e);
}

static enum err_code read_at(char different[NAME_SIZE], struct reference_values *v, const char *path, struct err *e)
{
    struct arena arena = {0};
    struct h5_reader *r = NULL;
    if (h5_open(&r, path, true, e))
        return e->code;
    enum err_code code = read_file(different, v, r, path, &arena, e);
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

enum err_code reference_file_read(struct reference_values *v, const char *folder, struct err *e)
{
    char path[PATH_MAX], different[NAME_SIZE] = "";
    struct err damage;
    v->training.samples = v->evaluation.samples = 0;
    if (rundir_path(path, folder, RUNDIR_REFERENCE, e))
        return e->code;
    if (!file_exists(path))
        return ERR_OK;
    if (read_at(different, v, path, &damage)) {
        log_warn("%.*s: the reference is recomputed", without_advice(damage.message), damage.message);
        v->training.samples = v->evaluation.samples = 0;
    } else if (*different) {
        log_note("%s was computed with a different %s: the reference is recomputed", path, different);
    }
    return ERR_OK;
}

static void write_set(struct h5_writer *w, const char *name, const struct reference_set *set)
{
    if (!set->log_prob)
        return;
    h5_write(w, name, H5_F64, 1, (const uint64_t[]){2 * set->pairs}, set->log_prob);
    h5_attribute_int(w, name, samples, (int64_t)set->samples);
}

static enum err_code write_inside(const struct reference_values *v, const struct runlock *lock, const char *folder,
                                  struct err *e)
{
    char path[PATH_MAX];
    struct h5_writer *w = NULL;
    if (rundir_path(path, folder, RUNDIR_REFERENCE, e) || h5_create(&w, path, e))
        return e->code;
    h5_attribute_text(w, "/", inputs, v->inputs);
    h5_attribute_text(w, "/", evaluated, v->evaluated);
    write_set(w, training, &v->training);
    write_set(w, evaluation, &v->evaluation);
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
