#include "report/svg.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "report/markup.h"
#include "svg_label.h"

#define WIDTH         540
#define PLOT_HEIGHT   270 /* of the area inside the axes */
#define CHARACTER     6.6 /* widest average advance of the 12 px font, by which text is set out */
#define LEGEND_ROW    19
#define HEADLINE      24 /* the title, over a plot that stands alone */
#define LEGEND_SAMPLE 34 /* the piece of line and marker in front of a name */
#define MARKERS_MAX   40 /* a longer series is a line without markers */
#define BARS_MAX      12 /* a longer one has a band instead of error bars */

/* What one plot is drawn with. */
struct drawing {
    struct markup m;
    const struct svg_plot *plot;
    struct svg_range x, y;
    double left, top, right, bottom; /* of the area inside the axes */
    double height;
    bool any; /* some series has a point */
};

/* Characters, not bytes. */
static double text_width(const char *text)
{
    size_t count = 0;
    for (; *text; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return CHARACTER * (double)count;
}

static bool is_drawn(const struct drawing *d, const struct svg_series *s, size_t i)
{
    return svg_range_holds(&d->x, s->x[i]) && svg_range_holds(&d->y, s->y[i]);
}

static size_t count_drawn(const struct drawing *d, const struct svg_series *s)
{
    size_t count = 0;
    for (size_t i = 0; i < s->count; i++)
        count += is_drawn(d, s, i);
    return count;
}

/* The marker of a style, around a point. */
static void put_marker(struct drawing *d, unsigned style, double x, double y)
{
    static const char *const shapes[] = {
        "m-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0z",              /* disc */
        "m-3.2-3.2h6.4v6.4h-6.4z",                                   /* square */
        "m0-4.2l4.2 7.2h-8.4z",                                      /* triangle */
        "m0-4.6l4.6 4.6l-4.6 4.6l-4.6-4.6z",                         /* diamond */
        "m0 4.2l4.2-7.2h-8.4z",                                      /* triangle, point down */
        "m-1.3-4h2.6v2.7h2.7v2.6h-2.7v2.7h-2.6v-2.7h-2.7v-2.6h2.7z", /* cross */
    };
    markup_put(&d->m, "<path class=\"mark\" d=\"M%.1f %.1f%s\"", x, y,
               shapes[style % (sizeof shapes / sizeof *shapes)]);
}

static void put_band(struct drawing *d, const struct svg_series *s)
{
    size_t i = 0;
    while (s->low && i < s->count) { /* one closed shape for each unbroken stretch */
        size_t first = i;
        while (i < s->count && is_drawn(d, s, i) && svg_range_holds(&d->y, s->low[i]) &&
               svg_range_holds(&d->y, s->high[i]))
            i++;
        if (i > first + 1) {
            markup_put(&d->m, "<path class=\"band\" d=\"");
            for (size_t k = first; k < i; k++)
                markup_put(&d->m, "%c%.1f %.1f", k == first ? 'M' : 'L', svg_range_pixel(&d->x, s->x[k]),
                           svg_range_pixel(&d->y, s->high[k]));
            for (size_t k = i; k-- > first;)
                markup_put(&d->m, "L%.1f %.1f", svg_range_pixel(&d->x, s->x[k]),
                           svg_range_pixel(&d->y, s->low[k]));
            markup_put(&d->m, "z\"/>");
        }
        i = i == first ? i + 1 : i;
    }
}

static void put_line(struct drawing *d, const struct svg_series *s)
{
    bool pen_down = false;
    markup_put(&d->m, "<path class=\"line\" d=\"");
    for (size_t i = 0; i < s->count; i++) {
        bool drawn = is_drawn(d, s, i);
        if (drawn)
            markup_put(&d->m, "%c%.1f %.1f", pen_down ? 'L' : 'M', svg_range_pixel(&d->x, s->x[i]),
                       svg_range_pixel(&d->y, s->y[i]));
        pen_down = drawn;
    }
    markup_put(&d->m, "\"/>");
}

/* Error bars where points are few and stand apart. */
static void put_bars(struct drawing *d, const struct svg_series *s, size_t i, double x)
{
    if (!s->low || !(s->high[i] > s->low[i]) || !svg_range_holds(&d->y, s->low[i]) ||
        !svg_range_holds(&d->y, s->high[i]))
        return;
    double low = svg_range_pixel(&d->y, s->low[i]), high = svg_range_pixel(&d->y, s->high[i]);
    markup_put(&d->m, "<path class=\"bar\" d=\"M%.1f %.1fV%.1fm-3 0h6M%.1f %.1fh6\"/>", x, low, high, x - 3,
               low);
}

static void put_markers(struct drawing *d, const struct svg_series *s, bool bars)
{
    char x_text[SVG_NUMBER_SIZE], y_text[SVG_NUMBER_SIZE];
    for (size_t i = 0; i < s->count; i++) {
        if (!is_drawn(d, s, i))
            continue;
        double x = svg_range_pixel(&d->x, s->x[i]);
        if (bars)
            put_bars(d, s, i, x);
        put_marker(d, s->style, x, svg_range_pixel(&d->y, s->y[i]));
        markup_put(&d->m, "><title>");
        markup_text(&d->m, s->name);
        markup_put(&d->m, ": %s at %s</title></path>", svg_number(y_text, s->y[i]),
                   svg_number(x_text, s->x[i]));
    }
}

static void put_series(struct drawing *d, const struct svg_series *s)
{
    size_t drawn = count_drawn(d, s);
    markup_put(&d->m, "<g class=\"series s%u\" data-series=\"", s->style % SVG_STYLES);
    markup_text(&d->m, s->name);
    markup_put(&d->m, "\" data-points=\"%zu\">", drawn);
    bool marked = !s->no_marks && (s->no_line || drawn <= MARKERS_MAX);
    bool bars = marked && drawn <= BARS_MAX;
    if (!bars)
        put_band(d, s);
    if (!s->no_line)
        put_line(d, s);
    if (marked)
        put_markers(d, s, bars);
    markup_put(&d->m, "</g>\n");
}

/* Sets the legend out in rows, and draws it; the height of all rows. */
static double put_legend(struct drawing *d, bool draw)
{
    double x = 8, y = 14 + (d->plot->alone ? HEADLINE : 0);
    for (size_t i = 0; i < d->plot->count; i++) {
        const struct svg_series *s = &d->plot->series[i];
        if (s->beside)
            continue;
        double width = LEGEND_SAMPLE + text_width(s->name) + 14;
        if (x > 8 && x + width > WIDTH) {
            x = 8;
            y += LEGEND_ROW;
        }
        if (draw) {
            markup_put(&d->m, "<g class=\"s%u\">", s->style % SVG_STYLES);
            if (!s->no_line)
                markup_put(&d->m, "<path class=\"line\" d=\"M%.1f %.1fh27\"/>", x, y - 4);
            if (!s->no_marks) {
                put_marker(d, s->style, x + 13.5, y - 4);
                markup_put(&d->m, "/>");
            }
            markup_put(&d->m, "<text class=\"name\" x=\"%.1f\" y=\"%.1f\">", x + LEGEND_SAMPLE, y);
            markup_text(&d->m, s->name);
            markup_put(&d->m, "</text></g>\n");
        }
        x += width;
    }
    return y + (d->plot->count ? 12 : -6);
}

static void put_x_axis(struct drawing *d)
{
    double last_end = -1;
    markup_put(&d->m, "<g class=\"axis\">");
    for (size_t pass = 0; pass < 2; pass++) /* 0 of a logarithmic axis stands apart, and first */
        for (size_t i = 0; i < d->x.tick_count; i++) {
            const struct svg_tick *t = &d->x.ticks[i];
            bool apart = d->x.axis->scale == SVG_LOG && t->value == 0;
            if (apart != (pass == 0))
                continue;
            double x = svg_range_pixel(&d->x, t->value), half = text_width(t->label) / 2;
            markup_put(&d->m, "<path class=\"%s\" d=\"M%.1f %.1fV%.1f\"/>", *t->label ? "grid" : "minor", x,
                       d->bottom, *t->label ? d->top : d->bottom - 4);
            if (*t->label && x - half > last_end + 4) {
                markup_put(&d->m,
                           "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>", x,
                           d->bottom + 18, t->label);
                last_end = x + half;
            }
        }
    markup_put(&d->m, "<path class=\"frame\" d=\"M%.1f %.1fH%.1f\"/>", d->left, d->bottom, d->right);
    markup_put(&d->m, "<text class=\"title\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">",
               (d->left + d->right) / 2, d->bottom + 40);
    markup_text(&d->m, d->plot->x.title);
    markup_put(&d->m, "</text></g>\n");
}

static void put_y_axis(struct drawing *d)
{
    markup_put(&d->m, "<g class=\"axis\">");
    for (size_t i = 0; i < d->y.tick_count; i++) {
        const struct svg_tick *t = &d->y.ticks[i];
        double y = svg_range_pixel(&d->y, t->value);
        markup_put(&d->m, "<path class=\"%s\" d=\"M%.1f %.1fH%.1f\"/>", *t->label ? "grid" : "minor", d->left,
                   y, *t->label ? d->right : d->left + 4);
        if (*t->label)
            markup_put(&d->m, "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%s</text>",
                       d->left - 7, y + 4, t->label);
    }
    double middle = (d->top + d->bottom) / 2;
    markup_put(&d->m,
               "<text class=\"title\" text-anchor=\"middle\" transform=\"translate(15 %.1f) rotate(-90)\">",
               middle);
    markup_text(&d->m, d->plot->y.title);
    markup_put(&d->m, "</text></g>\n");
}

/* The names of points, on top of everything. */
static void put_labels(struct drawing *d)
{
    static const char *const anchors[] = {"end", "middle", "start"};
    struct svg_labels labels = {
        .plot = d->plot, .x = &d->x, .y = &d->y, .area = {d->left, d->top, d->right, d->bottom}};
    struct svg_label label;
    for (size_t i = 0; i < d->plot->count; i++) {
        const struct svg_series *s = &d->plot->series[i];
        if (!s->beside || !svg_label_place(&label, &labels, s, text_width(s->name)))
            continue;
        if (label.apart)
            markup_put(&d->m, "<path class=\"leader\" d=\"M%.1f %.1fL%.1f %.1f\"/>", label.from_x,
                       label.from_y, label.to_x, label.to_y);
        markup_put(&d->m, "<text class=\"name\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", label.to_x,
                   label.box.bottom - 3, anchors[label.side + 1]);
        markup_text(&d->m, s->name);
        markup_put(&d->m, "</text>\n");
    }
}

static void put_level(struct drawing *d)
{
    double y = svg_range_pixel(&d->y, d->plot->level);
    markup_put(&d->m, "<g class=\"level\"><path d=\"M%.1f %.1fH%.1f\"/>", d->left, y, d->right);
    markup_put(&d->m, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">", d->right - 4, y - 5);
    markup_text(&d->m, d->plot->level_name);
    markup_put(&d->m, "</text></g>\n");
}

/* Ranges, ticks, and the area that labels and legend leave. */
static void set_out(struct drawing *d)
{
    svg_range_begin(&d->x, &d->plot->x);
    svg_range_begin(&d->y, &d->plot->y);
    for (size_t k = 0; k < d->plot->count; k++) {
        const struct svg_series *s = &d->plot->series[k];
        for (size_t i = 0; i < s->count; i++) {
            if (!is_drawn(d, s, i))
                continue;
            svg_range_add(&d->x, s->x[i]);
            svg_range_add(&d->y, s->y[i]);
            if (s->low) {
                svg_range_add(&d->y, s->low[i]);
                svg_range_add(&d->y, s->high[i]);
            }
        }
    }
    d->any = d->y.any;
    if (d->plot->level_name)
        svg_range_add(&d->y, d->plot->level);
    svg_range_finish(&d->x);
    svg_range_finish(&d->y);
    double widest = 0;
    for (size_t i = 0; i < d->y.tick_count; i++)
        widest = fmax(widest, text_width(d->y.ticks[i].label));
    d->left = 34 + widest;
    d->right = WIDTH - 18;
    d->top = put_legend(d, false);
    d->bottom = d->top + PLOT_HEIGHT;
    d->height = d->bottom + 50;
    svg_range_place(&d->x, d->left, d->right);
    svg_range_place(&d->y, d->bottom, d->top);
}

/* What a page would have around the plot. */
static void put_surroundings(struct drawing *d)
{
    markup_put(&d->m, "<style>\nsvg{color-scheme:light dark;" SVG_DAY "}\n"
                      "@media screen and (prefers-color-scheme:dark){svg{" SVG_NIGHT "}}\n");
    if (!d->m.e->code)
        str_append(d->m.out, svg_style(), strlen(svg_style()), d->m.e);
    markup_put(&d->m,
               "svg.plot{width:%dpx;max-width:100%%}\n</style>\n<rect class=\"paper\" width=\"%d\" "
               "height=\"%.0f\"/>\n",
               WIDTH, WIDTH, d->height);
    markup_put(&d->m, "<text class=\"headline\" x=\"8\" y=\"17\">");
    markup_text(&d->m, d->plot->title);
    markup_put(&d->m, "</text>\n");
}

enum err_code svg_append_plot(struct str *out, const struct svg_plot *plot, struct err *e)
{
    struct drawing d = {.m = {.out = out, .e = e}, .plot = plot};
    e->code = ERR_OK;
    set_out(&d);
    markup_put(&d.m,
               "<svg class=\"plot\" xmlns=\"http://www.w3.org/2000/svg\" id=\"%s\" viewBox=\"0 0 %d %.0f\"",
               plot->id, WIDTH, d.height);
    if (plot->alone)
        markup_put(&d.m, " width=\"%d\" height=\"%.0f\"", WIDTH, d.height);
    markup_put(&d.m,
               " role=\"img\" "
               "aria-labelledby=\"%s-title %s-text\">\n<title id=\"%s-title\">",
               plot->id, plot->id, plot->id);
    markup_text(&d.m, plot->title);
    markup_put(&d.m, "</title>\n<desc id=\"%s-text\">", plot->id);
    markup_text(&d.m, plot->description);
    markup_put(&d.m, "</desc>\n");
    if (plot->alone)
        put_surroundings(&d);
    put_legend(&d, true);
    put_x_axis(&d);
    put_y_axis(&d);
    if (plot->level_name && svg_range_holds(&d.y, plot->level))
        put_level(&d);
    for (size_t i = 0; i < plot->count; i++)
        put_series(&d, &plot->series[i]);
    put_labels(&d);
    if (!d.any)
        markup_put(&d.m,
                   "<text class=\"empty\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">nothing was "
                   "measured</text>\n",
                   (d.left + d.right) / 2, (d.top + d.bottom) / 2);
    markup_put(&d.m, "</svg>\n");
    return e->code;
}

/* Hues of Okabe and Ito and of Tol, which remain apart under the common kinds of colour blindness, darkened
 * on white and lightened on black to keep their contrast; the dashes of the second half tell the rest apart.
 * Programs that draw SVG but know no variables get the colours of the day. */
const char *svg_style(void)
{
    return ".s0{color:#0067b0}.s1{color:#c84c00}.s2{color:#00876a}.s3{color:#b8408c}.s4{color:#b07d00}\n"
           ".s5{color:#2a9fd8}.s6{color:#6b6b70}.s7{color:#7b3fb5}.s8{color:#8a2232}.s9{color:#4d6b12}\n"
           ".s10{color:#0067b0}.s11{color:#c84c00}\n"
           ".s6,.s7,.s8,.s9{stroke-dasharray:6 3}.s10,.s11{stroke-dasharray:2 3}\n"
           "@media screen and (prefers-color-scheme:dark){\n"
           ".s0{color:#58a8f5}.s1{color:#ff8a4c}.s2{color:#2cc79f}.s3{color:#ee86c3}.s4{color:#e8b93a}\n"
           ".s5{color:#8ad4fa}.s6{color:#a5a5ab}.s7{color:#bd93f9}.s8{color:#f2788a}.s9{color:#a9c95c}\n"
           ".s10{color:#58a8f5}.s11{color:#ff8a4c}}\n"
           ".plot{display:block;width:100%;height:auto;font:12px system-ui,-apple-system,\"Segoe "
           "UI\",Roboto,\n"
           "\"Helvetica Neue\",\"Noto Sans\",\"DejaVu Sans\",sans-serif;font-variant-numeric:tabular-nums}\n"
           ".plot text{fill:" SVG_INK ";fill:var(--ink)}.plot .tick,.plot .title,.plot .empty{fill:" SVG_SOFT
           ";fill:var(--soft)}\n"
           ".plot .line{fill:none;stroke:currentColor;stroke-width:1.8;\n"
           "stroke-linejoin:round;stroke-linecap:round}\n"
           ".plot .mark,.plot .bar,.plot .leader{stroke-dasharray:none}\n"
           ".plot .mark{fill:currentColor;stroke:" SVG_PAPER ";stroke:var(--paper);stroke-width:1}\n"
           ".plot .leader{stroke:" SVG_FAINT ";stroke:var(--faint)}.plot .paper{fill:" SVG_PAPER
           ";fill:var(--paper)}.plot "
           ".headline{font-weight:600}\n"
           ".plot .bar{fill:none;stroke:currentColor;stroke-width:1.2;opacity:.7}\n"
           ".plot .band{fill:currentColor;opacity:.16}\n"
           ".plot .grid{stroke:" SVG_RULE
           ";stroke:var(--rule);stroke-width:1}.plot .minor,.plot .frame{stroke:" SVG_FAINT
           ";stroke:var(--faint)}\n"
           ".plot .level path{stroke:" SVG_SOFT
           ";stroke:var(--soft);stroke-dasharray:4 3}.plot .level text{fill:" SVG_SOFT ";fill:var(--soft)}\n";
}
