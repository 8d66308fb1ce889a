#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "bench/selftest.h"
#include "cli/commands.h"
#include "cli/facts.h"

/* The name before a check, the result after it: the last line shows which one hangs. */
static void print_name(const char *name)
{
    printf("%-10s ", name);
    fflush(stdout);
}

static void print_result(const struct selftest_line *line)
{
    char text[2 * sizeof line->text];
    str_make_visible(text, sizeof text, line->text, strlen(line->text), "");
    printf("%-6s %s\n", selftest_word(line->verdict), text);
    str_make_visible(text, sizeof text, line->cure, strlen(line->cure), "");
    if (line->verdict != SELFTEST_FINE)
        printf("%-17s to do: %s\n", "", text);
    fflush(stdout);
}

static enum err_code print_json(const struct selftest_line *lines, enum selftest_verdict worst, struct err *e)
{
    struct facts f;
    facts_begin(&f, true);
    facts_text(&f, "verdict", selftest_word(worst));
    facts_list(&f, "checks");
    for (size_t i = 0; i < selftest_count(); i++) {
        const struct selftest_line *line = &lines[i];
        facts_object(&f, NULL);
        facts_text(&f, "check", line->name);
        facts_text(&f, "verdict", selftest_word(line->verdict));
        facts_text(&f, "text", line->text);
        facts_text(&f, "cure", line->verdict == SELFTEST_FINE ? NULL : line->cure);
        for (size_t k = 0; k < line->number_count; k++)
            facts_real(&f, line->numbers[k].name, line->numbers[k].value);
        facts_end(&f);
    }
    facts_end(&f);
    return facts_print(&f, e);
}

/* Collective. Prints each line on rank 0, unless all of them come as JSON at the end. */
static enum err_code make_checks(struct selftest_line *lines, struct selftest *t, bool speaks, struct err *e)
{
    for (size_t i = 0; i < selftest_count(); i++) {
        if (speaks)
            print_name(selftest_name(i));
        if (selftest_check(&lines[i], t, i, e)) {
            if (speaks)
                printf("\n");
            return e->code;
        }
        if (speaks)
            print_result(&lines[i]);
    }
    return ERR_OK;
}

static enum err_code conclude(const struct selftest_line *lines, const struct options *o,
                              const struct dist *d, struct err *e)
{
    enum selftest_verdict worst = SELFTEST_FINE;
    char wrong[256] = "";
    for (size_t i = 0, used = 0; i < selftest_count(); i++) {
        worst = lines[i].verdict > worst ? lines[i].verdict : worst;
        if (lines[i].verdict == SELFTEST_WRONG && used < sizeof wrong)
            used +=
                (size_t)snprintf(wrong + used, sizeof wrong - used, "%s%s", used ? ", " : "", lines[i].name);
    }
    if (d->rank == 0 && o->json && print_json(lines, worst, e))
        return e->code;
    if (worst == SELFTEST_WRONG)
        return err_set(e, ERR_PARTIAL, "the self-test found something wrong: %s", wrong);
    if (d->rank == 0 && !o->json)
        printf("in all     %s\n", selftest_word(worst));
    return ERR_OK;
}

enum err_code cmd_selftest(const struct options *o, struct dist *d, struct err *e)
{
    struct selftest *t = NULL;
    struct selftest_line lines[selftest_count()];
    memset(lines, 0, sizeof lines);
    if (selftest_open(&t, o, d, e))
        return e->code;
    enum err_code code = make_checks(lines, t, d->rank == 0 && !o->json, e);
    if (!code)
        code = dist_agree(d, conclude(lines, o, d, e), e);
    selftest_close(t);
    return code;
}
