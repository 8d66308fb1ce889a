#include "bench/bench.h"

#include <math.h>
#include <stdio.h>

#include "base/file.h"
#include "report/svg.h"

enum { ROOFS = 2, MEMORY_STYLE = 2, PRODUCTS_STYLE = 3, POINT_STYLE = 0 };

struct picture {
    double x[PROF_COUNT], y[PROF_COUNT];       /* of the phases that compute: FLOP per byte, GFLOPS */
    double roof_x[ROOFS][2], roof_y[ROOFS][2]; /* the memory's, up to where that of the products begins */
    char roof_names[ROOFS][64], names[PROF_COUNT][64];
    struct svg_series series[ROOFS + PROF_COUNT];
    size_t count;
};

static void add_roofs(struct picture *p, const struct bench_result *r, double least, double most)
{
    double ridge = r->rank_gemm_flops / r->rank_memory;
    double begin = fmin(least, ridge) / 2, end = fmax(most, ridge) * 2;
    const double x[ROOFS][2] = {{begin, ridge}, {ridge, end}};
    static const unsigned styles[ROOFS] = {MEMORY_STYLE, PRODUCTS_STYLE};
    snprintf(p->roof_names[0], sizeof p->roof_names[0], "memory: %.0f GB/s", r->rank_memory / 1e9);
    snprintf(p->roof_names[1], sizeof p->roof_names[1], "matrix products: %.0f GFLOPS",
             r->rank_gemm_flops / 1e9);
    for (int roof = 0; roof < ROOFS; roof++) {
        for (int i = 0; i < 2; i++) {
            p->roof_x[roof][i] = x[roof][i];
            p->roof_y[roof][i] = fmin(x[roof][i] * r->rank_memory, r->rank_gemm_flops) / 1e9;
        }
        p->series[roof] = (struct svg_series){.name = p->roof_names[roof],
                                              .style = styles[roof],
                                              .x = p->roof_x[roof],
                                              .y = p->roof_y[roof],
                                              .count = 2,
                                              .no_marks = true};
    }
}

static void fill_picture(struct picture *p, const struct bench_result *r)
{
    double least = INFINITY, most = 0;
    p->count = ROOFS;
    for (int i = 0; i < PROF_COUNT; i++) {
        const struct bench_phase *phase = &r->phases[i];
        if (phase->flop == 0 || phase->seconds == 0)
            continue;
        p->x[i] = phase->flop / phase->bytes;
        p->y[i] = phase->flop / phase->seconds / 1e9;
        double percent = 100 * phase->seconds / r->mean_seconds;
        snprintf(p->names[i], sizeof p->names[i], percent < 1 ? "%s < 1 %%" : "%s %.0f %%",
                 prof_name((enum prof_phase)i), percent);
        least = fmin(least, p->x[i]);
        most = fmax(most, p->x[i]);
        p->series[p->count++] = (struct svg_series){.name = p->names[i],
                                                    .style = POINT_STYLE,
                                                    .x = &p->x[i],
                                                    .y = &p->y[i],
                                                    .count = 1,
                                                    .no_line = true,
                                                    .beside = true};
    }
    add_roofs(p, r, least, most);
}

enum err_code bench_write_roofline(const char *path, const struct bench_result *r, const char *what,
                                   struct err *e)
{
    struct picture p = {0};
    struct str out = {0};
    fill_picture(&p, r);
    const struct svg_plot plot = {
        .id = "roofline",
        .title = what,
        .description =
            "The phases of a training step, with their part of its time, under the limits of memory "
            "and of matrix products",
        .x = {.title = "FLOP per byte moved", .scale = SVG_LOG},
        .y = {.title = "GFLOPS", .scale = SVG_LOG},
        .series = p.series,
        .count = p.count,
        .alone = true,
    };
    enum err_code code = svg_append_plot(&out, &plot, e);
    if (!code)
        code = file_write_atomic(path, out.data, out.length, e);
    str_release(&out);
    return code;
}
