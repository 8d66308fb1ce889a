/*
 * Reports: what is in the folder of a run or of a study, as one page to look at (report.html, which needs
 * nothing but itself), one table (report.csv: a row for each cell) and one JSON value (report.json: claims,
 * cells, series).
 *
 * A study is a folder with study.yaml and cells/<name>/, each cell an ordinary run. Its report holds six
 * claims about how LoRA's matrices should start against what was measured. A study that is not complete is
 * reported as far as it got; what failed or is missing is said. Everything is computed anew from the folder.
 */
#ifndef MPILORA_REPORT_REPORT_H
#define MPILORA_REPORT_REPORT_H

#include "base/err.h"

/* Writes the three files into `folder`. ERR_USAGE when it is neither a run nor a study; ERR_FORMAT names the
 * file and line of what cannot be read. */
enum err_code report_write(const char *folder, struct err *e);

#endif
