#include "report/page.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"

static const char style[] =
    ":root{color-scheme:light dark;--paper:#fbfaf7;--ink:#22221f;--soft:#6b6a64;--rule:#dddad2;--mark:#cdeccf;"
    "--bad:#a03018}\n"
    "@media(prefers-color-scheme:dark){:root{--paper:#191917;--ink:#e8e6e0;--soft:#9b9991;--rule:#3a3934;"
    "--mark:#24502b;--bad:#ef8a6f}}\n"
    "h1{font-size:24px;overflow-wrap:anywhere}h2{font-size:15px;margin:32px 0 8px;overflow-wrap:anywhere}\n"
    "h2 small{display:block;font-weight:400;color:var(--soft)}\n"
    "h3{font-size:13px;margin:12px 0 4px;color:var(--soft);overflow-wrap:anywhere}\n"
    "pre{margin:0;padding:14px 16px;border:1px solid var(--rule);border-radius:8px;white-space:pre-wrap;"
    "overflow-wrap:anywhere;min-height:1.55em;font:13.5px/1.55 ui-monospace,monospace}\n"
    "mark{background:var(--mark);color:inherit;border-radius:3px}.warning{color:var(--bad)}.soft{color:var(--soft)}\n"
    "table{border-collapse:collapse}th{text-align:left;font-size:13px;color:var(--soft)}\n"
    "th,td{padding:6px 24px 6px 0;border-bottom:1px solid var(--rule);vertical-align:top;overflow-wrap:anywhere}\n"
    ".beside{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,240px),1fr));"
    "gap:14px;margin:14px 0 0}.beside h3{margin-top:0}\n"
    "@media print{h2,h3{break-after:avoid}.beside>div,pre,tr{break-inside:avoid}}\n"
    ".exact{border-color:currentColor}h3 mark{padding:1px 6px;margin-left:6px;color:var(--ink)}\n";

#define TITLE "<title>mpilora: "

/* Is it a page of ours? */
static bool is_page(const char *path)
{
    struct file_in f;
    struct err ignored;
    char start[256] = "";
    if (file_in_open(&f, path, &ignored))
        return false;
    const size_t length = f.size < sizeof start ? f.size : sizeof start;
    bool is = !file_in_read(start, &f, 0, length, &ignored) && memmem(start, length, TITLE, strlen(TITLE));
    file_in_close(&f);
    return is;
}

enum err_code page_check_path(const char *path, const char *option, struct err *e)
{
    char folder[PATH_MAX];
    snprintf(folder, sizeof folder, "%s", path);
    file_cut_last_part(folder);
    if (*folder && !file_is_folder(folder))
        return err_set(e, ERR_IO, "%s %s: there is no folder %s", option, path, folder);
    if (file_is_folder(path))
        return err_set(e, ERR_IO, "%s %s: this is a folder; give the name of a file", option, path);
    if (file_exists(path) && !is_page(path))
        return err_set(e, ERR_USAGE,
                       "%s %s: this exists and is no page, which could be replaced: give another name", option, path);
    return ERR_OK;
}

void page_begin(struct markup *m, const char *title, int width)
{
    markup_put(m,
               "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
               "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
               TITLE "%s</title>\n<style>\n"
               "body{margin:0 auto;max-width:%dpx;padding:32px 24px;background:var(--paper);color:var(--ink);"
               "font:16px/1.5 system-ui,sans-serif}\n",
               title, width);
    if (!m->e->code)
        str_append(m->out, style, sizeof style - 1, m->e);
    markup_put(m, "</style>\n</head>\n<body>\n");
}

void page_end(struct markup *m)
{
    markup_put(m, "</body>\n</html>\n");
}

enum err_code page_write(struct markup *m, const char *path)
{
    if (!m->e->code)
        file_write_atomic(path, m->out->data, m->out->length, m->e);
    str_release(m->out);
    return m->e->code;
}
