/*
 * The frame of a small HTML page: title, style sheet for light and dark, no scripts and nothing from outside.
 */
#ifndef MPILORA_REPORT_PAGE_H
#define MPILORA_REPORT_PAGE_H

#include "report/markup.h"

/* For a command that has much to do before it writes its page: ERR_IO if there is no folder for it, or if a folder
 * has its name; ERR_USAGE if something else than a page has it. `option` gave the path ("--html"). */
enum err_code page_check_path(const char *path, const char *option, struct err *e);

/* Up to the beginning of the body, which is at most `width` pixels wide. `title` must not need escaping. */
void page_begin(struct markup *m, const char *title, int width);
void page_end(struct markup *m);

/* Writes the page to a file, unless there was an error. Releases the page's text in any case. */
enum err_code page_write(struct markup *m, const char *path);

#endif
