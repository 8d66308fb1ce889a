#include "cli/wrap.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "data/tokenizer/unicode.h"

size_t wrap_width(void)
{
    struct winsize terminal = {0};
    if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &terminal) || !terminal.ws_col)
        return 80;
    return terminal.ws_col < 40 ? 40 : terminal.ws_col > WRAP_WIDTH_MAX ? WRAP_WIDTH_MAX : terminal.ws_col;
}

struct line {
    size_t begin, end; /* bytes of the text */
    size_t columns;
};

/* The line that begins at text[*at], without blanks at its end, and moves *at to the next one. False after the last. */
static bool next_line(struct line *line, const struct wrap_cell *cell, size_t *at)
{
    const char *text = cell->text.length ? cell->text.data : "";
    size_t p = *at, columns = 0;
    struct line blank = {0}; /* the line up to the last blank after its first word */
    bool word = false;
    if (!text[p])
        return false;
    while (text[p] && text[p] != '\n') {
        size_t next = p;
        const size_t width = unicode_width(unicode_next(text, &next));
        if (text[p] == ' ' && word)
            blank = (struct line){*at, p, columns};
        if (columns + width > cell->width)
            break;
        word = word || text[p] != ' ';
        columns += width;
        p = next;
    }
    *line = (struct line){*at, p, columns};
    if (text[p] && text[p] != '\n' && blank.end) {
        *line = blank;
        p = blank.end;
    }
    *at = p + (text[p] == '\n' || text[p] == ' ');
    while (line->end > line->begin && text[line->end - 1] == ' ') {
        line->end--;
        line->columns--;
    }
    return true;
}

static enum err_code append_line(struct str *out, const struct line *line, const struct wrap_cell *cell, struct err *e)
{
    const char *colour = cell->colour ? cell->colour : "";
    if (str_appendf(out, e, "%s", colour) ||
        str_append(out, cell->text.data + line->begin, line->end - line->begin, e))
        return e->code;
    return *colour ? str_appendf(out, e, "\033[0m") : ERR_OK;
}

enum err_code wrap_append(struct str *out, const struct wrap_cell *cells, size_t count, size_t gap, struct err *e)
{
    size_t at[WRAP_CELLS_MAX] = {0};
    assert(count <= WRAP_CELLS_MAX);
    for (bool any = true; any;) {
        size_t blanks = 0;
        any = false;
        for (size_t i = 0; i < count; i++) {
            struct line line = {0};
            any = next_line(&line, &cells[i], &at[i]) || any;
            if (line.columns &&
                (str_appendf(out, e, "%*s", (int)blanks, "") || append_line(out, &line, &cells[i], e)))
                return e->code;
            blanks = (line.columns ? 0 : blanks) + cells[i].width - line.columns + gap;
        }
        if (any && str_append(out, "\n", 1, e))
            return e->code;
    }
    return ERR_OK;
}

enum err_code wrap_shorten(struct wrap_cell *cell, size_t most, struct err *e)
{
    struct line line = {0};
    size_t lines = 0, first_end = 0, last_begin = 0;
    const size_t first = most / 2, last = most - first - 1;
    for (size_t at = 0; next_line(&line, cell, &at);)
        lines++;
    if (lines <= most)
        return ERR_OK;
    size_t number = 0;
    for (size_t at = 0; next_line(&line, cell, &at); number++) {
        if (number + 1 == first)
            first_end = line.end;
        if (number == lines - last)
            last_begin = line.begin;
    }
    struct str shorter = {0};
    enum err_code code = str_append(&shorter, cell->text.data, first_end, e);
    if (!code)
        code = str_appendf(&shorter, e, "\n[%zu lines are not shown]\n", lines - first - last);
    if (!code)
        code = str_append(&shorter, cell->text.data + last_begin, cell->text.length - last_begin, e);
    str_release(&cell->text);
    cell->text = shorter;
    return code;
}
