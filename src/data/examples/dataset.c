#include "data/examples/dataset.h"

#include <assert.h>
#include <limits.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/format.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/stop.h"
#include "data/examples/record.h"
#include "fields.h"
#include "io/unpack.h"

enum {
    BLOCK_LINES = 4096, /* lines tokenised between two serial collections of the results, at most */
    FIRST_BLOCK = 64,
    CHUNK = 65536,      /* bytes of a file that is read from end to end */
};

_Static_assert(sizeof(struct dataset_entry) == 24, "memory that the documentation promises");
_Static_assert(LIMIT_DATA_FILES < 1 << (64 - DATASET_OFFSET_BITS), "the number of a file fits an entry");
_Static_assert(LIMIT_DATA_FILE < 1LL << DATASET_OFFSET_BITS, "a place in a file fits an entry");

/* A file of another kind is not one of bad lines, which could be skipped. */
static enum err_code expect_json(const struct dataset *d, size_t file, struct err *e)
{
    unsigned char begin[FORMAT_BYTES];
    const struct file_in *f = &d->files[file];
    size_t length = f->size < sizeof begin ? f->size : sizeof begin;
    if (f->size > LIMIT_DATA_FILE)
        return err_set(e, ERR_UNSUPPORTED, "%s: %zu bytes; at most %lld are read: cut the file into several",
                       d->paths[file], f->size, (long long)LIMIT_DATA_FILE);
    if (file_in_read(begin, f, 0, length, e))
        return e->code;
    return format_expect(FORMAT_JSON, begin, length, d->paths[file], e);
}

enum err_code dataset_init(struct dataset *d, const char *const *paths, size_t path_count,
                           const struct tokenizer *tokenizer, const struct example_options *options,
                           bool skip_bad_lines, struct err *e)
{
    *d = (struct dataset){.paths = paths,
                          .path_count = path_count,
                          .tokenizer = tokenizer,
                          .options = *options,
                          .skip_bad_lines = skip_bad_lines};
    if (!path_count)
        return err_set(e, ERR_USAGE, "no data files are given: name them with --data");
    if (path_count > LIMIT_DATA_FILES)
        return err_set(e, ERR_USAGE, "%zu data files; at most %d are read: join some of them", path_count,
                       LIMIT_DATA_FILES);
    d->files = calloc(path_count, sizeof *d->files);
    if (!d->files)
        return err_set(e, ERR_MEMORY, "not enough memory for %zu data files", path_count);
    for (size_t f = 0; f < path_count; f++) {
        enum err_code code;
        if (!strcmp(paths[f], "-"))
            code = err_set(
                e, ERR_USAGE,
                "data cannot come from standard input, since it is read more than once: write it to a "
                "file");
        else
            code = file_in_open(&d->files[f], paths[f], e);
        enum unpack_kind kind = UNPACK_NONE; /* what is compressed is looked at once it is expanded */
        if (!code)
            code = unpack_recognise(&kind, &d->files[f], e);
        if (!code && !kind)
            code = expect_json(d, f, e);
        if (code) {
            dataset_close(d);
            return code;
        }
    }
    return ERR_OK;
}

void dataset_close(struct dataset *d)
{
    for (size_t f = 0; !d->is_part && d->files && f < d->path_count; f++)
        file_in_close(&d->files[f]);
    if (!d->is_part)
        free(d->files);
    free(d->entries);
    free(d->bad);
    free(d->prints);
    *d = (struct dataset){0};
}

void dataset_keep_prints(struct dataset *d)
{
    d->keeps_prints = true;
}

void dataset_drop_prints(struct dataset *d)
{
    free(d->prints);
    d->prints = NULL;
}

enum err_code dataset_keep_bad(struct dataset *d, size_t most, struct err *e)
{
    free(d->bad);
    d->bad = calloc(most ? most : 1, sizeof *d->bad);
    d->bad_count = 0;
    d->bad_most = d->bad ? most : 0;
    return d->bad ? ERR_OK : err_set(e, ERR_MEMORY, "no memory for the errors of %zu lines", most);
}

/* The number of the element that begins at `offset`, of a JSON array; 0 of a file of lines, or one that is not whole
 * any more. */
static uint64_t element_number(const struct dataset *d, size_t file, uint64_t offset)
{
    struct file_map map;
    struct err ignored;
    if (!file_in_is_whole(&d->files[file]) || file_in_map(&map, &d->files[file], &ignored))
        return 0;
    uint64_t number = record_number(&map, offset);
    file_map_close(&map);
    return number;
}

/* "FILE:LINE" of the line that begins at `offset`, or "FILE, element N"; of a file that cannot be read any more, the
 * byte. */
static void describe_place(char *text, size_t size, const struct dataset *d, size_t file, uint64_t offset)
{
    const uint64_t element = element_number(d, file, offset);
    if (element) {
        snprintf(text, size, "%s, element %llu", d->paths[file], (unsigned long long)element);
        return;
    }
    unsigned char bytes[CHUNK];
    struct err ignored;
    uint64_t number = 1;
    for (uint64_t at = 0; at < offset;) {
        size_t length = offset - at < CHUNK ? (size_t)(offset - at) : CHUNK;
        if (file_in_read(bytes, &d->files[file], at, length, &ignored)) {
            snprintf(text, size, "%s, byte %llu", d->paths[file], (unsigned long long)offset);
            return;
        }
        for (const unsigned char *p = bytes, *end = p + length; (p = memchr(p, '\n', (size_t)(end - p))); p++)
            number++;
        at += length;
    }
    snprintf(text, size, "%s:%llu", d->paths[file], (unsigned long long)number);
}

/* Byte `part / parts` of the way through all files laid end to end. */
static uint64_t part_border(uint64_t total, size_t part, size_t parts)
{
    return (uint64_t)((unsigned __int128)total * part / parts);
}

/* One line on its way through the scan. */
struct scan_line {
    struct dataset_entry entry;
    uint64_t length;
    enum err_code code;
    bool truncated, had_bos;
    unsigned notes;
    uint32_t columns;
    uint64_t tokens; /* before cutting */
    uint64_t print;
    enum example_form form;
};

static enum err_code parse_line(struct example *ex, struct example_scratch *scratch, const struct dataset *d,
                                const char *text, uint64_t length, struct err *e)
{
    if (length > LIMIT_LINE)
        return err_set(e, ERR_DATA,
                       "an example of %llu bytes; at most %d are read: cut it into several examples",
                       (unsigned long long)length, LIMIT_LINE);
    return example_parse(ex, scratch, d->tokenizer, text, (size_t)length, &d->options, e);
}

static uint32_t count_chosen(const struct example *ex)
{
    uint32_t count = 0;
    for (size_t i = 0; i < ex->split; i++)
        count += ex->supervised[i] != 0;
    return count;
}

/* FNV-1a of the ids, for pairs with where the rejected side begins and where it leaves the chosen one. */
static uint64_t fingerprint(const struct example *ex)
{
    const uint64_t prime = UINT64_C(0x100000001B3);
    uint64_t print = ((UINT64_C(0xCBF29CE484222325) ^ ex->shared) * prime ^ ex->split) * prime;
    for (size_t i = 0; i < ex->count; i++)
        print = (print ^ (uint32_t)ex->tokens[i]) * prime;
    return print;
}

static void measure_line(struct scan_line *line, struct example *ex, struct example_scratch *scratch,
                         const struct dataset *d, const struct file_map *map)
{
    struct err e;
    const char *text = (const char *)map->data + line->entry.offset;
    line->code = parse_line(ex, scratch, d, text, line->length, &e);
    line->tokens = ex->whole_count;
    line->columns = ex->columns;
    if (line->code)
        return;
    line->entry.bytes = (uint32_t)line->length;
    line->entry.tokens = (uint32_t)ex->count;
    line->entry.supervised = (uint32_t)ex->supervised_count;
    line->entry.chosen = count_chosen(ex);
    line->truncated = ex->truncated;
    line->had_bos = ex->had_bos;
    line->notes = ex->notes;
    line->form = ex->form;
    line->print = d->keeps_prints ? fingerprint(ex) : 0;
}

/* Does the line end the scan? */
static bool is_fatal(const struct scan_line *line, const struct dataset *d)
{
    return line->code && !(line->code == ERR_DATA && d->skip_bad_lines);
}

/* What a thread reads lines with, and the words that it remembers from one block to the next. */
struct reader {
    struct example example;
    struct example_scratch scratch;
};

/* A scan on its way. A block of lines of which each takes long, since a template fails slowly, say, stays small, so
 * that a wish to stop and a word of what is going on need not wait for the others. */
struct scan {
    struct scan_line *lines; /* [BLOCK_LINES] */
    struct reader *readers;  /* [threads] */
    int threads;
    size_t block;            /* lines of the next block */
    size_t capacity;         /* of the index */
    uint64_t begin, end;     /* its part of all files, laid end to end */
    double begun, next_word; /* seconds */
};

/* Nobody looks at lines after one that ends the scan; a template that takes long to fail would fail on each of them. */
static void measure_block(const struct scan *s, size_t count, const struct dataset *d, const struct file_map *map)
{
    size_t end = count;
#pragma omp parallel num_threads(s->threads)
    {
        struct reader *mine = &s->readers[omp_get_thread_num()];
#pragma omp for schedule(dynamic, 4)
        for (size_t i = 0; i < count; i++) {
            if (i > __atomic_load_n(&end, __ATOMIC_RELAXED) || stop_is_asked())
                continue;
            measure_line(&s->lines[i], &mine->example, &mine->scratch, d, map);
            if (!is_fatal(&s->lines[i], d))
                continue;
#pragma omp critical(dataset_end)
            if (i < end)
                __atomic_store_n(&end, i, __ATOMIC_RELAXED);
        }
    }
}

/* Bytes of the files, laid end to end, from this one's `offset` on. */
static uint64_t bytes_from(const struct dataset *d, size_t file, uint64_t offset)
{
    uint64_t left = d->files[file].size - offset;
    for (size_t f = file + 1; f < d->path_count; f++)
        left += d->files[f].size;
    return left;
}

void dataset_place_of_note(char *text, size_t size, const struct dataset *d, enum example_note note)
{
    uint64_t left = d->first_notes[note];
    size_t file = d->path_count - 1;
    for (; file > 0 && left > d->files[file].size; file--)
        left -= d->files[file].size;
    describe_place(text, size, d, file, d->files[file].size - left);
}

static void count_notes(struct dataset *d, const struct scan_line *line)
{
    for (size_t n = 0; n < NOTE_COUNT; n++) {
        if (!(line->notes >> n & 1))
            continue;
        if (!d->counts.notes[n]++)
            d->first_notes[n] = bytes_from(d, line->entry.file, line->entry.offset);
    }
}

/* What good and bad lines have. */
static void count_line(struct dataset *d, const struct scan_line *line)
{
    d->longest = line->tokens > d->longest ? line->tokens : d->longest;
    for (size_t i = 0; i < COLUMNS_MAX; i++)
        d->counts.columns[i] += line->columns >> i & 1;
}

static enum err_code add_entry(struct dataset *d, size_t *capacity, const struct scan_line *line,
                               struct err *e)
{
    if (d->count == *capacity) {
        size_t more = *capacity ? 2 * *capacity : BLOCK_LINES;
        struct dataset_entry *entries = reallocarray(d->entries, more, sizeof *entries);
        uint64_t *prints = d->keeps_prints ? reallocarray(d->prints, more, sizeof *prints) : NULL;
        d->entries = entries ? entries : d->entries;
        d->prints = prints ? prints : d->prints;
        if (!entries || (d->keeps_prints && !prints))
            return err_set(e, ERR_MEMORY, "not enough memory for an index of %zu examples", more);
        *capacity = more;
    }
    if (d->keeps_prints)
        d->prints[d->count] = line->print;
    d->entries[d->count++] = line->entry;
    d->counts.tokens += line->entry.tokens;
    d->counts.supervised += line->entry.supervised;
    d->counts.truncated += line->truncated;
    d->counts.had_bos += line->had_bos;
    d->counts.forms[line->form]++;
    count_notes(d, line);
    return ERR_OK;
}

/* A line that could not be used: says why, by parsing it again here, in the order of the file. */
static enum err_code report_line(struct dataset *d, const struct scan_line *line, const struct file_map *map,
                                 struct err *e)
{
    const bool skip = !is_fatal(line, d);
    if (skip && d->counts.bad_lines++ && d->bad_count == d->bad_most)
        return ERR_OK;
    struct example ex = {0};
    struct example_scratch scratch = {0};
    char place[512];
    const char *text = (const char *)map->data + line->entry.offset;
    enum err_code code = parse_line(&ex, &scratch, d, text, line->length, e);
    example_release(&ex);
    example_scratch_release(&scratch);
    if (!code) /* memory was short, or the file has just changed */
        code =
            err_set(e, line->code, "this line could not be read, although a second try could: start again");
    describe_place(place, sizeof place, d, line->entry.file, line->entry.offset);
    err_wrap(e, "%s", place);
    if (!skip)
        return code;
    const int fits = (int)sizeof d->first_bad - 1;
    if (d->counts.bad_lines == 1)
        snprintf(d->first_bad, sizeof d->first_bad, "%.*s", fits, e->message);
    if (d->bad_count < d->bad_most)
        snprintf(d->bad[d->bad_count++], sizeof *d->bad, "%.*s", fits, e->message);
    return ERR_OK;
}

static const double block_seconds = 0.5, first_word = 5;

/* After a block that took from `begun` until now. */
static void pace_scan(struct scan *s, const struct dataset *d, double begun, uint64_t at)
{
    const double now = cpu_seconds(), all = (double)(s->end - s->begin);
    const uint64_t lines = d->count + d->counts.bad_lines;
    char bad[64] = "";
    if (now - begun < block_seconds && s->block < BLOCK_LINES)
        s->block *= 2;
    else if (now - begun > 2 * block_seconds && s->block > FIRST_BLOCK)
        s->block /= 2;
    if (now - s->begun < s->next_word || at >= s->end)
        return;
    s->next_word *= 2;
    if (d->counts.bad_lines)
        snprintf(bad, sizeof bad, ", of which %llu bad", (unsigned long long)d->counts.bad_lines);
    log_note("reading %s: %.0f %% after %.0f s, %llu lines%s%s%s", d->paths[0], 100 * (double)(at - s->begin) / all,
             now - s->begun, (unsigned long long)lines, bad, *bad ? "; the first: " : "", *bad ? d->first_bad : "");
}

/* The next lines, at most s->block of them. */
static enum err_code next_block(struct scan *s, size_t *count, struct record_cursor *c, size_t file, struct err *e)
{
    struct scan_line *lines = s->lines;
    struct record r = {0};
    bool found = true;
    for (*count = 0; *count < s->block; ++*count) {
        if (record_next(&r, &found, c, e))
            return e->code;
        if (!found)
            return ERR_OK;
        lines[*count] =
            (struct scan_line){.entry = {.offset = r.offset & (UINT64_MAX >> (64 - DATASET_OFFSET_BITS)),
                                         .file = (uint16_t)file},
                               .length = r.length};
    }
    return ERR_OK;
}

/* A file that is one object is not one of bad lines either. */
static enum err_code expect_lines(const struct dataset *d, size_t file, const struct file_map *map, struct err *e)
{
    char key[128];
    struct str advice = {0};
    if (!record_find_list(key, sizeof key, map) || fields_reads_list(key))
        return ERR_OK;
    if (fields_advise_to_unwrap(&advice, key, e) == ERR_OK)
        err_set(e, ERR_FORMAT, "%s: this is one JSON object, not one on each line%s", d->paths[file], advice.data);
    str_release(&advice);
    return e->code;
}

/* What of file `file`, which begins at byte `base` of all files, lies in [begin, end) of all files. A file that is
 * damaged in the middle is that after what comes before. */
static enum err_code scan_file(struct dataset *d, struct scan *s, size_t file, const struct file_map *map,
                               uint64_t base, struct err *e)
{
    struct record_cursor c =
        record_begin(map, s->begin > base ? s->begin - base : 0, s->end > base ? s->end - base : 0);
    if (!c.begin && c.end && expect_lines(d, file, map, e))
        return e->code;
    for (;;) {
        struct err damage;
        const uint64_t first = c.at;
        const double begun = cpu_seconds();
        size_t count;
        enum err_code code = next_block(s, &count, &c, file, &damage);
        measure_block(s, count, d, map);
        if (stop_check("the data was read", e))
            return e->code;
        for (size_t i = 0; i < count; i++) {
            const struct scan_line *line = &s->lines[i];
            count_line(d, line);
            if (line->code ? report_line(d, line, map, e) : add_entry(d, &s->capacity, line, e))
                return e->code;
        }
        if (code) {
            *e = damage;
            return err_wrap(e, "%s", d->paths[file]);
        }
        if (!count)
            return ERR_OK;
        pace_scan(s, d, begun, base + c.at);
        file_map_drop(map, map->data + first, c.at - first);
    }
}

enum err_code dataset_scan(struct dataset *d, size_t part, size_t parts, struct err *e)
{
    assert(part < parts);
    free(d->entries);
    dataset_drop_prints(d);
    d->entries = NULL;
    d->count = 0;
    d->counts = (struct dataset_counts){0};
    memset(d->first_notes, 0, sizeof d->first_notes);
    d->longest = 0;
    d->first_bad[0] = '\0';
    d->bad_count = 0;

    uint64_t total = 0;
    for (size_t f = 0; f < d->path_count; f++)
        total += d->files[f].size;
    struct scan s = {.lines = calloc(BLOCK_LINES, sizeof *s.lines),
                     .threads = omp_get_max_threads(),
                     .block = FIRST_BLOCK,
                     .begin = part_border(total, part, parts),
                     .end = part_border(total, part + 1, parts),
                     .begun = cpu_seconds(),
                     .next_word = first_word};
    s.readers = calloc((size_t)s.threads, sizeof *s.readers);
    enum err_code code = s.lines && s.readers ? ERR_OK : err_set(e, ERR_MEMORY, "not enough memory to read data");
    uint64_t base = 0;
    for (size_t f = 0; f < d->path_count && !code; f++) {
        struct file_map map;
        code = file_in_map(&map, &d->files[f], e);
        if (!code)
            code = scan_file(d, &s, f, &map, base, e);
        file_map_close(&map);
        base += d->files[f].size;
    }
    for (int i = 0; s.readers && i < s.threads; i++) {
        example_release(&s.readers[i].example);
        example_scratch_release(&s.readers[i].scratch);
    }
    free(s.readers);
    free(s.lines);
    return code;
}

static enum err_code need_examples(const struct dataset *d, struct err *e)
{
    if (d->count)
        return ERR_OK;
    const char *others = d->path_count > 1 ? " and the other data files" : "";
    if (!d->counts.bad_lines)
        return err_set(e, ERR_DATA, "%s%s: no example in it", d->paths[0], others);
    if (d->counts.bad_lines == 1)
        return err_set(e, ERR_DATA, "%s%s: no example is left, the only line is bad: %s", d->paths[0], others,
                       d->first_bad);
    return err_set(e, ERR_DATA, "%s%s: no example is left, all %llu lines are bad%s%s", d->paths[0], others,
                   (unsigned long long)d->counts.bad_lines, d->first_bad[0] ? "; the first: " : "",
                   d->first_bad);
}

enum err_code dataset_set_index(struct dataset *d, const struct dataset_entry *entries, size_t count,
                                const struct dataset_counts *counts, struct err *e)
{
    struct dataset_entry *copy = reallocarray(NULL, count ? count : 1, sizeof *copy);
    if (!copy)
        return err_set(e, ERR_MEMORY, "not enough memory for an index of %zu examples", count);
    if (count)
        memcpy(copy, entries, count * sizeof *copy);
    free(d->entries);
    d->entries = copy;
    d->count = count;
    d->counts = *counts;
    return need_examples(d, e);
}

enum err_code dataset_use_copy(struct dataset *d, size_t file, const char *path, struct err *e)
{
    struct file_in copy;
    if (file_in_open(&copy, path, e))
        return e->code;
    file_in_close(&d->files[file]);
    d->files[file] = copy;
    d->files[file].path = d->paths[file];
    return expect_json(d, file, e);
}

enum err_code dataset_expand(struct dataset *d, struct err *e)
{
    char path[PATH_MAX];
    enum err_code code = ERR_OK;
    for (size_t f = 0; f < d->path_count && !code; f++) {
        enum unpack_kind kind = UNPACK_NONE;
        code = unpack_recognise(&kind, &d->files[f], e);
        if (code || kind == UNPACK_NONE)
            continue;
        code = file_temporary(path, sizeof path, "mpilora-data", e);
        unlink(path); /* of a process that was killed, and had this one's number */
        if (!code)
            code = unpack_file(path, &d->files[f], kind, e);
        if (!code) {
            code = dataset_use_copy(d, f, path, e);
            unlink(path);
        }
    }
    return code;
}

enum err_code dataset_fill(struct dataset *d, struct err *e)
{
    return dataset_expand(d, e) || dataset_scan(d, 0, 1, e) || need_examples(d, e) ? e->code : ERR_OK;
}

enum err_code dataset_open(struct dataset *d, const char *const *paths, size_t path_count,
                           const struct tokenizer *tokenizer, const struct example_options *options,
                           bool skip_bad_lines, struct err *e)
{
    if (dataset_init(d, paths, path_count, tokenizer, options, skip_bad_lines, e))
        return e->code;
    if (dataset_fill(d, e)) {
        dataset_close(d);
        return e->code;
    }
    return ERR_OK;
}

enum err_code dataset_read(struct example *ex, struct example_scratch *scratch, const struct dataset *d,
                           size_t index, struct err *e)
{
    assert(index < d->count);
    const struct dataset_entry *entry = &d->entries[index];
    struct str *line = &scratch->line;
    str_clear(line);
    if (str_reserve(line, entry->bytes, e))
        return e->code;
    enum err_code code = file_in_read(line->data, &d->files[entry->file], entry->offset, entry->bytes, e);
    if (!code)
        code = parse_line(ex, scratch, d, line->data, entry->bytes, e);
    if (!code && ex->count == entry->tokens && ex->supervised_count == entry->supervised)
        return ERR_OK;
    char place[512];
    dataset_place(place, sizeof place, d, index);
    if (code && code != ERR_DATA)
        return err_wrap(e, "%s", place);
    return err_set(
        e, ERR_MISMATCH,
        "%s: this line has changed since the run began: leave data files alone while they are in use", place);
}

void dataset_place(char *text, size_t size, const struct dataset *d, size_t index)
{
    assert(index < d->count);
    const struct dataset_entry *entry = &d->entries[index];
    describe_place(text, size, d, entry->file, entry->offset);
}
