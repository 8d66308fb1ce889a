#include "weights_convert.h"

#include "base/stop.h"

/* Numbers that a thread converts at a time: 256 KiB of f32. */
#define PIECE ((size_t)1 << 16)

/* Whether its values are those of the file. */
static bool is_plain(const struct task *task)
{
    return task->scale == 0 && task->offset == 0;
}

static size_t piece_rows(const struct task *task)
{
    return task->in.columns < PIECE ? PIECE / task->in.columns : 1;
}

static size_t piece_count(const struct task *task)
{
    return (task->in.rows + piece_rows(task) - 1) / piece_rows(task);
}

/* The task that a piece, or a row, is of: the last with no more before it. */
static struct task *task_of_piece(struct task *tasks, size_t count, size_t piece)
{
    size_t low = 0, high = count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (tasks[middle].pieces_before <= piece)
            low = middle;
        else
            high = middle;
    }
    return &tasks[low];
}

/* The number of the first row, over all tasks, that holds a NaN or an infinity; SIZE_MAX: none does. */
static size_t convert_piece(const struct task *task, size_t piece)
{
    size_t first = (piece - task->pieces_before) * piece_rows(task);
    size_t count = task->in.rows - first < piece_rows(task) ? task->in.rows - first : piece_rows(task);
    size_t at = first * task->in.columns * dtype_info(task->type)->block_bytes;
    void *out = task->out ? (unsigned char *)task->out + at : NULL;
    size_t bad = convert_rows_checked(out, task->type, &task->in, first, count);
    bool changed = out && !is_plain(task);
    for (size_t i = 0; i < count * task->in.columns && changed; i++)
        ((float *)out)[i] = (task->scale != 0 ? task->scale : 1) * ((float *)out)[i] + task->offset;
    return bad < first + count ? task->rows_before + bad : SIZE_MAX;
}

/* What was copied out of the file is not needed there: a base and its file are not in memory side by side. */
static void finish_piece(const struct store *store, struct task *task)
{
    if (task->out && __atomic_sub_fetch(&task->pieces_left, 1, __ATOMIC_ACQ_REL) == 0)
        store_forget(store, task->t);
}

enum err_code weights_convert(struct task *tasks, size_t count, const struct store *store, struct err *e)
{
    size_t rows = 0, pieces = 0, bad = SIZE_MAX;
    for (size_t i = 0; i < count; i++) {
        tasks[i].rows_before = rows;
        tasks[i].pieces_before = pieces;
        rows += tasks[i].in.rows;
        tasks[i].pieces_left = piece_count(&tasks[i]);
        pieces += tasks[i].pieces_left;
    }
#pragma omp parallel for schedule(dynamic) reduction(min : bad)
    for (size_t piece = 0; piece < pieces; piece++) {
        if (stop_is_asked())
            continue;
        struct task *task = task_of_piece(tasks, count, piece);
        size_t found = convert_piece(task, piece);
        bad = found < bad ? found : bad;
        finish_piece(store, task);
    }
    if (stop_check("the model was loaded", e))
        return e->code;
    if (bad == SIZE_MAX)
        return ERR_OK;
    const struct task *task = tasks;
    while (bad >= task->rows_before + task->in.rows)
        task++;
    return err_set(e, ERR_NUMERIC, "%s: tensor %s holds a NaN or an infinity, in row %zu", task->t->file,
                   task->t->name, bad - task->rows_before);
}
