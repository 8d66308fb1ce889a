/*
 * Writes the report of a run or a study: a page (report.html, which needs no other file), tables (report.csv, with
 * a row for each cell; metrics.csv, with a row for each step, for other programs) and a JSON value (report.json, with
 * claims, cells and series); or the page of several runs, with their curves on top of each other.
 *
 * A study is a folder with study.yaml and cells/<name>/; each cell is an ordinary run. If the study varies the
 * initialisation, its report compares six claims about the initial values of LoRA's matrices with the measurements.
 * The report of an incomplete study contains the finished cells and lists those that failed or are missing.
 * Everything is computed from the folder each time.
 */
#ifndef MPILORA_REPORT_REPORT_H
#define MPILORA_REPORT_REPORT_H

#include "base/err.h"
#include "base/opt.h"

/* Writes the four files into `folder`. `reload`: seconds after which the page loads itself again, while the run goes
 * on; 0: never. ERR_USAGE if it is neither a run nor a study; ERR_FORMAT names the file and line that cannot be
 * read. */
enum err_code report_write(const char *folder, unsigned reload, struct err *e);

/* Writes the page alone, to `path`: of one run or study, or of several runs. The same errors; ERR_USAGE also if there
 * are more runs than a page has room for. */
enum err_code report_write_page(const char *path, const struct opt_list *folders, unsigned reload, struct err *e);

#endif
