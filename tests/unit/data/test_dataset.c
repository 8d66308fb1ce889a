/* Files of lines to an index: which lines count, what is said of bad ones, and that parts make up the whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/limits.h"
#include "data/examples/dataset.h"
#include "data/examples/repeats.h"
#include "temp_file.h"
#include "tiny_tokenizer.h"

#define GOOD "{\"text\":\"a\"}\n"

static struct tokenizer *tokenizer;
static struct chat *chat;
static struct temp_folder folder;
static struct example_options usual = {.max_length = 1000};

static int set_up(void **state)
{
    (void)state;
    tokenizer = tiny_tokenizer_open(0);
    chat = tiny_chat_open(tokenizer);
    usual.chat = chat;
    temp_make(&folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    chat_close(chat);
    tokenizer_close(tokenizer);
    temp_remove(&folder);
    return 0;
}

static const char *write_text(const char *name, const char *text)
{
    return temp_write(&folder, name, text, strlen(text));
}

static void open_good(struct dataset *d, const char *const *paths, size_t count, bool skip)
{
    struct err e;
    if (dataset_open(d, paths, count, tokenizer, &usual, skip, &e))
        fail_msg("%s", e.message);
}

static void check_place(const struct dataset *d, size_t index, const char *path, int line)
{
    char place[300], expected[300];
    dataset_place(place, sizeof place, d, index);
    snprintf(expected, sizeof expected, "%s:%d", path, line);
    assert_string_equal(place, expected);
}

/* Opening must fail at `line` of `path`. */
static void check_bad(const char *const *paths, size_t count, const char *path, int line, const char *reason)
{
    struct dataset d;
    struct err e;
    char start[300];
    assert_int_equal(dataset_open(&d, paths, count, tokenizer, &usual, false, &e), ERR_DATA);
    snprintf(start, sizeof start, "%s:%d: ", path, line);
    if (strncmp(e.message, start, strlen(start)) || !strstr(e.message, reason))
        fail_msg("\"%s\" is not \"%s...%s\"", e.message, start, reason);
}

/* Before it is looked at: of the file here, no byte lies on a disk. */
static void test_a_line_that_is_too_long(void **state)
{
    (void)state;
    const char *paths[] = {write_text("long", GOOD)};
    if (truncate(paths[0], LIMIT_LINE + 100))
        fail_msg("no large file");
    check_bad(paths, 1, paths[0], 2, "at most 67108864 are read: cut it into several examples");
}

static void test_lines(void **state)
{
    (void)state;
    const char *paths[] = {
        write_text("a",
                   "\xEF\xBB\xBF{\"text\":\"a\"}\r\n\r\n \t\n\n{\"prompt\":\"p\",\"completion\":\"cd\"}\n"
                   "{\"messages\":[{\"role\":\"system\",\"content\":\"s\"},"
                   "{\"role\":\"assistant\",\"content\":\"a\"}]}"),
        write_text("empty", ""),
        write_text("b", "\n" GOOD),
    };
    struct dataset d;
    open_good(&d, paths, 3, false);
    assert_int_equal(d.count, 4);
    assert_int_equal(d.counts.tokens, 2 + 4 + 25 + 2);
    assert_int_equal(d.counts.supervised, 1 + 3 + 2 + 1);
    assert_int_equal(d.counts.bad_lines + d.counts.truncated, 0);
    assert_int_equal(d.entries[0].offset, 3);
    assert_int_equal(d.entries[0].bytes, strlen("{\"text\":\"a\"}"));
    check_place(&d, 0, paths[0], 1);
    check_place(&d, 1, paths[0], 5);
    check_place(&d, 2, paths[0], 6);
    check_place(&d, 3, paths[2], 2);

    struct example ex = {0};
    struct example_scratch scratch = {0};
    struct err e;
    for (size_t i = 0; i < d.count; i++) {
        assert_int_equal(dataset_read(&ex, &scratch, &d, i, &e), ERR_OK);
        assert_int_equal(ex.count, d.entries[i].tokens);
        assert_int_equal(ex.supervised_count, d.entries[i].supervised);
    }
    assert_int_equal(ex.tokens[0], 'a');
    example_release(&ex);
    example_scratch_release(&scratch);
    dataset_close(&d);
    dataset_close(&d); /* a closed one is fine */
}

static void test_bad_lines(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int line;
        const char *reason;
    } cases[] = {
        {GOOD GOOD "{\"text\":\n" GOOD, 3, "JSON"},
        {"not json", 1, "JSON"},
        {GOOD "\n\r\n{\"text\":\"\xC3\"}\n", 4, "byte 10 of the line is not valid UTF-8"},
        {GOOD "{\"text\":\"a\\u0000\"}\n", 2, "JSON"},
        {GOOD "{\"text\":\"a\",\"text\":\"b\"}\n", 2, "JSON"},
        {GOOD "{\"prompt\":\"a\"}\n", 2, "but no \"completion\""},
        {GOOD "{\"text\":\"\"}", 2, "no supervised token"},
        {GOOD "{\"messages\":[{\"role\":\"ghost\",\"content\":\"\"}]}", 2, "no supervised token"},
        {GOOD "[]\n{}\n", 2, "one JSON object"},
        {GOOD "\xEF\xBB\xBF" GOOD, 2, "JSON"}, /* a byte order mark belongs at the beginning */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *paths[] = {write_text("good", GOOD), write_text("bad", cases[i].text)};
        check_bad(paths, 2, paths[1], cases[i].line, cases[i].reason);
    }
    const char zero[] = GOOD "{\"text\":\"a\0b\"}\n";
    const char *path = temp_write(&folder, "zero", zero, sizeof zero - 1);
    check_bad(&path, 1, path, 2, "JSON");
}

static void test_skip(void **state)
{
    (void)state;
    const char *path = write_text("some", GOOD "{}\n" GOOD "x\n" GOOD);
    struct dataset d;
    open_good(&d, &path, 1, true);
    assert_int_equal(d.count, 3);
    assert_int_equal(d.counts.bad_lines, 2);
    assert_non_null(strstr(d.first_bad, "some:2: wrong fields"));
    check_place(&d, 2, path, 5);
    dataset_close(&d);

    struct err e;
    path = write_text("all", "{}\nx\n");
    assert_int_equal(dataset_open(&d, &path, 1, tokenizer, &usual, true, &e), ERR_DATA);
    assert_non_null(strstr(e.message, "all 2 lines are bad"));
    assert_non_null(strstr(e.message, "all:1: wrong fields"));
    path = write_text("none", "\n\n");
    assert_int_equal(dataset_open(&d, &path, 1, tokenizer, &usual, true, &e), ERR_DATA);
    assert_non_null(strstr(e.message, "no example"));
}

/* What no line of the kind can do is not a bad line: --skip-bad-lines would skip the whole file in silence.
 */
static void test_skip_does_not_hide(void **state)
{
    (void)state;
    struct tokenizer *t = tiny_tokenizer_open(TINY_NO_EOS);
    const char *path = write_text("eos", "{}\n" GOOD);
    struct dataset d;
    struct err e;
    assert_int_equal(dataset_open(&d, &path, 1, t, &usual, true, &e), ERR_UNSUPPORTED);
    assert_non_null(strstr(e.message, "eos:2: "));
    tokenizer_close(t);
}

static void test_truncation(void **state)
{
    (void)state;
    const char *path =
        write_text("long", "{\"text\":\"abcdef\"}\n" GOOD "{\"prompt\":\"abcd\",\"completion\":\"e\"}\n");
    const struct example_options four = {.max_length = 4};
    struct dataset d;
    struct err e;
    assert_int_equal(dataset_open(&d, &path, 1, tokenizer, &four, true, &e), ERR_OK);
    assert_int_equal(d.count, 2);
    assert_int_equal(d.counts.truncated, 1);
    assert_int_equal(d.counts.bad_lines, 1);
    assert_int_equal(d.counts.tokens, 4 + 2);
    assert_int_equal(d.counts.supervised, 3 + 1);
    assert_int_equal(d.longest, 7); /* before cutting */
    char cut[128];
    assert_true(dataset_describe_cut(cut, sizeof cut, &d));
    assert_string_equal(cut, "1 example was cut to --max-length 4; the longest has 7 tokens");
    assert_non_null(strstr(d.first_bad, "of 6 tokens, --max-length 4 cuts off all that is supervised: --max-length 6"));
    dataset_close(&d);
    path = write_text("short", GOOD);
    open_good(&d, &path, 1, false);
    assert_false(dataset_describe_cut(cut, sizeof cut, &d));
    dataset_close(&d);
}

/* Pretty-printed, as many programs write a whole file of examples; with one that is no such file. */
static void test_one_object(void **state)
{
    (void)state;
    static const struct {
        const char *text, *reason;
    } cases[] = {
        {"{\n \"version\": 1.0, \"of\": {\"a\": [1]},\n \"data\": [\n  {\"text\": \"a\"}\n ]\n}\n",
         "jq -c '.data[]' FILE > FILE"},
        {"\xEF\xBB\xBF{\"my rows\": [ {\"text\": \"a\"},\n{\"text\": \"b\"}]}",
         "jq -c '.[\"my rows\"][]' FILE"},
        {"{\"data\": [{\"text\": \"a\"}]}\n{\"data\": []}\n", "jq -c '.data[]' FILE"}, /* one on each line */
        {"{\n\"messages\": [\n{\"role\": \"user\", \"content\": \"a\"}\n]\n}",
         "jq -c . FILE"}, /* one example */
    };
    struct dataset d;
    struct err e;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *path = write_text("object", cases[i].text);
        assert_int_not_equal(dataset_open(&d, &path, 1, tokenizer, &usual, true, &e), ERR_OK);
        if (!strstr(e.message, cases[i].reason))
            fail_msg("%s: %s", cases[i].text, e.message);
    }
}

static void test_repeats(void **state)
{
    (void)state;
    const char *path = write_text("twice", GOOD "{\"text\":\"b\"}\n{\"x\":1}\n" GOOD "{\"text\":\"a\", \"id\":2}\n"),
               *held_path = write_text("held", "{\"text\":\"c\"}\n{\"text\":\"b\"}\n" GOOD GOOD);
    struct dataset d, held;
    struct repeats r;
    struct err e;
    char text[256];
    size_t shared;
    assert_int_equal(dataset_init(&d, &path, 1, tokenizer, &usual, true, &e), ERR_OK);
    assert_int_equal(dataset_init(&held, &held_path, 1, tokenizer, &usual, true, &e), ERR_OK);
    dataset_keep_prints(&d);
    dataset_keep_prints(&held);
    assert_int_equal(dataset_fill(&d, &e) || dataset_fill(&held, &e), ERR_OK);
    assert_int_equal(repeats_find(&r, &d, &e), ERR_OK);
    assert_int_equal(r.count, 2);
    assert_true(repeats_describe(text, sizeof text, &r, &d));
    assert_non_null(strstr(text, "2 of 4 examples repeat an earlier one (the first: "));
    assert_non_null(strstr(text, "twice:4, as "));
    assert_non_null(strstr(text, "twice:1)"));
    assert_int_equal(repeats_count_shared(&shared, &d, &held, &e), ERR_OK);
    assert_int_equal(shared, 3);
    assert_int_equal(repeats_count_shared(&shared, &held, &d, &e), ERR_OK);
    assert_int_equal(shared, 4);
    d.count = 2; /* the first two alone */
    assert_int_equal(repeats_find(&r, &d, &e), ERR_OK);
    assert_false(repeats_describe(text, sizeof text, &r, &d));
    d.count = 4;
    dataset_close(&held);
    dataset_close(&d);
}

static void keep_text(void *context, const char *text)
{
    struct str *kept = context;
    struct err e;
    assert_int_equal(str_appendf(kept, &e, "%s\n", text), ERR_OK);
}

/* Renaming what no line has. */
static void test_missed_columns(void **state)
{
    (void)state;
    const char *path =
        write_text("columns", "{\"q\":\"a\",\"completion\":\"b\",\"was\":null}\n{\"odd\":1}\n");
    struct example_options options = usual;
    struct columns columns;
    struct dataset d;
    struct err e;
    struct str told = {0};
    assert_int_equal(columns_parse(&columns, "prompt=q,input=inptu,unused=was,more=odd", &e), ERR_OK);
    options.columns = &columns;
    assert_int_equal(dataset_open(&d, &path, 1, tokenizer, &options, true, &e), ERR_OK);
    dataset_tell_warnings(&d, 0, keep_text, &told);
    assert_string_equal(told.data, "--columns input=inptu: no line has \"inptu\"\n");
    str_release(&told);
    dataset_close(&d);
    columns_release(&columns);
}

/* Pairs among other examples are shown by `inspect`, and no objective trains on both. */
static void test_mixed_with_pairs(void **state)
{
    (void)state;
    const char *path =
        write_text("mixed", "{\"text\":\"a b\"}\n{\"prompt\":\"a\",\"chosen\":\" b\",\"rejected\":\" c\"}\n");
    struct example_options options = usual;
    struct dataset d;
    struct err e;
    struct str told = {0};
    options.pairs = PAIRS_TAKEN;
    assert_int_equal(dataset_open(&d, &path, 1, tokenizer, &options, false, &e), ERR_OK);
    dataset_tell_warnings(&d, 0, keep_text, &told);
    assert_string_equal(
        told.data, "1 of 2 examples are preference pairs and the others are not: no --objective trains on both\n");
    str_release(&told);
    dataset_close(&d);
}

/* Lines of many lengths, blank and bad ones among them; more than one block, and borders of parts at every
 * place. */
static void write_many(struct str *text, int lines)
{
    struct err e;
    str_clear(text);
    for (int i = 0; i < lines; i++) {
        const char *end = i % 5 ? "\n" : "\r\n\n";
        if (i % 11 == 3)
            str_appendf(text, &e, "{\"bad\":%d}%s", i, end);
        else
            str_appendf(text, &e, "{\"text\":\"%0*d\"}%s", 1 + i * 7 % 40, i, end);
    }
}

static void test_parts(void **state)
{
    (void)state;
    static const int sizes[] = {1, 3, 40, 9000};
    struct str text = {0};
    struct err e;
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        write_many(&text, sizes[s]);
        const char *paths[] = {temp_write(&folder, "many", text.data, text.length), write_text("one", GOOD),
                               write_text("nothing", ""),
                               temp_write(&folder, "cut", text.data, text.length - 1)};
        struct dataset whole, d;
        open_good(&whole, paths, 4, true);
        assert_int_equal(dataset_init(&d, paths, 4, tokenizer, &usual, true, &e), ERR_OK);
        for (size_t parts = 1; parts <= (sizes[s] == 40 ? 200 : 5); parts++) {
            size_t count = 0;
            struct dataset_counts sum = {0};
            for (size_t part = 0; part < parts; part++) {
                assert_int_equal(dataset_scan(&d, part, parts, &e), ERR_OK);
                assert_true(count + d.count <= whole.count);
                if (d.count)
                    assert_memory_equal(d.entries, whole.entries + count, d.count * sizeof *d.entries);
                count += d.count;
                sum.tokens += d.counts.tokens;
                sum.supervised += d.counts.supervised;
                sum.bad_lines += d.counts.bad_lines;
                for (size_t f = 0; f < EXAMPLE_FORM_COUNT; f++)
                    sum.forms[f] += d.counts.forms[f];
            }
            assert_int_equal(count, whole.count);
            assert_memory_equal(&sum, &whole.counts, sizeof sum);
        }
        assert_int_equal(dataset_set_index(&d, whole.entries, whole.count, &whole.counts, &e), ERR_OK);
        assert_memory_equal(d.entries, whole.entries, whole.count * sizeof *whole.entries);
        assert_int_equal(dataset_set_index(&d, NULL, 0, &(struct dataset_counts){0}, &e), ERR_DATA);
        dataset_close(&d);
        dataset_close(&whole);
    }
    str_release(&text);
}

/* The first example with a note is found in whichever file and part it is. */
static void test_first_note(void **state)
{
    (void)state;
#define CALLS                                                                                                          \
    "{\"messages\":[{\"role\":\"assistant\",\"content\":\"h\",\"tool_calls\":[{\"name\":\"f\"}]}]}\n"
    const char *paths[] = {write_text("none", GOOD GOOD), write_text("empty", ""), write_text("some", GOOD GOOD CALLS),
                           write_text("more", CALLS GOOD)};
    struct dataset d;
    struct err e;
    char place[300], expected[300];
    snprintf(expected, sizeof expected, "%s:3", paths[2]);
    assert_int_equal(dataset_init(&d, paths, 4, tokenizer, &usual, false, &e), ERR_OK);
    for (size_t parts = 1; parts <= 9; parts++) {
        uint64_t first = 0, count = 0;
        for (size_t part = 0; part < parts; part++) {
            assert_int_equal(dataset_scan(&d, part, parts, &e), ERR_OK);
            count += d.counts.notes[NOTE_LOST_CALLS];
            first = d.first_notes[NOTE_LOST_CALLS] > first ? d.first_notes[NOTE_LOST_CALLS] : first;
            assert_int_equal(d.first_notes[NOTE_LOST_CALLS] > 0, d.counts.notes[NOTE_LOST_CALLS] > 0);
        }
        assert_int_equal(count, 2);
        d.first_notes[NOTE_LOST_CALLS] = first;
        dataset_place_of_note(place, sizeof place, &d, NOTE_LOST_CALLS);
        assert_string_equal(place, expected);
    }
    dataset_close(&d);
}

/* Every example is in one part, in the order of the files; which one, the seed chooses and nothing else. */
static void test_split(void **state)
{
    (void)state;
    struct str text = {0};
    struct err e;
    write_many(&text, 200);
    const char *paths[] = {temp_write(&folder, "many", text.data, text.length), write_text("one", GOOD)};
    struct dataset whole, rest, held, again, other;
    open_good(&whole, paths, 2, true);
    assert_int_equal(dataset_split(&rest, &held, &whole, 0.1, 7, &e), ERR_OK);
    assert_int_equal(held.count, (whole.count + 9) / 10);
    size_t r = 0, h = 0;
    for (size_t i = 0; i < whole.count; i++) {
        bool here = h < held.count && !memcmp(&held.entries[h], &whole.entries[i], sizeof *whole.entries);
        const struct dataset_entry *entry = here ? &held.entries[h++] : &rest.entries[r++];
        assert_memory_equal(entry, &whole.entries[i], sizeof *entry);
    }
    assert_int_equal(r, rest.count);
    assert_int_equal(h, held.count);
    assert_int_equal(rest.counts.tokens + held.counts.tokens, whole.counts.tokens);
    assert_int_equal(rest.counts.bad_lines, whole.counts.bad_lines);
    dataset_close(&rest);

    struct example ex = {0};
    struct example_scratch scratch = {0};
    assert_int_equal(dataset_read(&ex, &scratch, &held, held.count - 1, &e), ERR_OK);
    example_release(&ex);
    example_scratch_release(&scratch);

    assert_int_equal(dataset_split(&rest, &again, &whole, (double)held.count, 7, &e), ERR_OK);
    assert_memory_equal(again.entries, held.entries, held.count * sizeof *held.entries);
    dataset_close(&rest);
    dataset_close(&again);
    assert_int_equal(dataset_split(&rest, &other, &whole, 0.1, 8, &e), ERR_OK);
    assert_memory_not_equal(other.entries, held.entries, held.count * sizeof *held.entries);
    dataset_close(&rest);
    dataset_close(&other);
    dataset_close(&held);
    assert_int_equal(dataset_split(&rest, &held, &whole, (double)whole.count, 7, &e), ERR_USAGE);
    assert_non_null(strstr(e.message, "both parts need some"));
    dataset_close(&whole);
    str_release(&text);
}

/* The first bad line is the one that is reported, although threads meet others before it. */
static void test_first_bad_line(void **state)
{
    (void)state;
    struct str text = {0};
    write_many(&text, 9000);
    const char *path = temp_write(&folder, "many", text.data, text.length);
    for (int i = 0; i < 5; i++)
        check_bad(&path, 1, path, 5, "wrong fields"); /* i = 3, after one blank line */
    str_release(&text);
}

static void test_changed_file(void **state)
{
    (void)state;
    const char *path =
        write_text("live", "{\"text\":\"aaa\"}\n{\"prompt\":\"ppp\",\"completion\":\"ccc\"}\n" GOOD);
    struct dataset d;
    struct example ex = {0};
    struct example_scratch scratch = {0};
    struct err e;
    open_good(&d, &path, 1, false);
    int fd = open(path, O_WRONLY);
    const off_t text = 9, second = 15, prompt = second + 11, completion = second + 30;
    const struct {
        off_t at;
        const char *bytes; /* as long as what they replace */
        size_t index;
    } changes[] = {{text, "\\n", 0}, {prompt, "\\n", 1}, {completion, "\\n", 1}, {0, "}", 0}};
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        size_t length = strlen(changes[i].bytes), at = changes[i].index;
        char kept[2], says[64];
        assert_int_equal(dataset_read(&ex, &scratch, &d, at, &e), ERR_OK);
        assert_int_equal(file_in_read(kept, &d.files[0], (uint64_t)changes[i].at, length, &e), ERR_OK);
        assert_int_equal(pwrite(fd, changes[i].bytes, length, changes[i].at), length);
        assert_int_equal(dataset_read(&ex, &scratch, &d, at, &e), ERR_MISMATCH);
        snprintf(says, sizeof says, "live:%zu: this line has changed", at + 1);
        assert_non_null(strstr(e.message, says));
        assert_int_equal(dataset_read(&ex, &scratch, &d, 2, &e), ERR_OK); /* the others are as they were */
        assert_int_equal(pwrite(fd, kept, length, changes[i].at), length);
    }
    close(fd);
    example_release(&ex);
    example_scratch_release(&scratch);
    dataset_close(&d);
}

/* A shortened file is an error where it is missed, and nothing else; a deleted one is still there. */
static void test_shortened_file(void **state)
{
    (void)state;
    const char *path = write_text("short", GOOD GOOD GOOD);
    const size_t line = strlen(GOOD);
    struct dataset d;
    struct example ex = {0};
    struct example_scratch scratch = {0};
    struct err e;
    char place[300];
    open_good(&d, &path, 1, false);
    assert_int_equal(truncate(path, (off_t)(2 * line - 3)), 0);
    assert_int_equal(dataset_read(&ex, &scratch, &d, 0, &e), ERR_OK);
    assert_int_equal(dataset_read(&ex, &scratch, &d, 1, &e), ERR_IO);
    assert_non_null(strstr(e.message, "short:2: "));
    assert_non_null(strstr(e.message, "has become shorter"));
    assert_int_equal(dataset_read(&ex, &scratch, &d, 2, &e), ERR_IO);
    dataset_place(place, sizeof place, &d, 2); /* its number cannot be counted any more */
    assert_non_null(strstr(place, "short, byte 26"));
    unlink(path);
    assert_int_equal(dataset_read(&ex, &scratch, &d, 0, &e), ERR_OK);
    example_release(&ex);
    example_scratch_release(&scratch);
    dataset_close(&d);
}

static void test_what_is_no_file(void **state)
{
    (void)state;
    struct dataset d;
    struct err e;
    char pipe[128], absent[128];
    snprintf(pipe, sizeof pipe, "%s/pipe", folder.path);
    snprintf(absent, sizeof absent, "%s/absent.jsonl", folder.path);
    assert_int_equal(mkfifo(pipe, 0600), 0);
    const struct {
        const char *path, *says;
        enum err_code code;
    } cases[] = {
        {"-", "standard input", ERR_USAGE},
        {pipe, "not a regular file", ERR_IO},
        {folder.path, "folder", ERR_IO},
        {absent, absent, ERR_IO},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *paths[] = {write_text("good", GOOD), cases[i].path};
        assert_int_equal(dataset_open(&d, paths, 2, tokenizer, &usual, true, &e), cases[i].code);
        assert_non_null(strstr(e.message, cases[i].says));
    }
    assert_int_equal(dataset_open(&d, NULL, 0, tokenizer, &usual, true, &e), ERR_USAGE);
    assert_non_null(strstr(e.message, "--data"));
    unlink(pipe);
}

static void hash_of(char hash[FILE_HASH_SIZE], const char *const *paths)
{
    struct dataset d;
    struct err e;
    open_good(&d, paths, 2, false);
    assert_int_equal(dataset_hash(hash, &d, &e), ERR_OK);
    dataset_close(&d);
}

static void test_hash(void **state)
{
    (void)state;
    char two_one[FILE_HASH_SIZE], other[FILE_HASH_SIZE];
    const char *one = write_text("h1", GOOD), *two = write_text("h2", GOOD GOOD),
               *twin = write_text("h3", GOOD);
    hash_of(two_one, (const char *const[]){two, one});
    hash_of(other, (const char *const[]){two, twin});
    assert_string_equal(two_one, other); /* names do not matter */
    hash_of(other, (const char *const[]){one, two});
    assert_string_not_equal(two_one, other); /* the order does */
    write_text("h3", "{\"text\":\"b\"}\n");
    hash_of(other, (const char *const[]){two, twin});
    assert_string_not_equal(two_one, other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_a_line_that_is_too_long),
        cmocka_unit_test(test_bad_lines),
        cmocka_unit_test(test_skip),
        cmocka_unit_test(test_skip_does_not_hide),
        cmocka_unit_test(test_truncation),
        cmocka_unit_test(test_one_object),
        cmocka_unit_test(test_missed_columns),
        cmocka_unit_test(test_mixed_with_pairs),
        cmocka_unit_test(test_repeats),
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_first_note),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_first_bad_line),
        cmocka_unit_test(test_changed_file),
        cmocka_unit_test(test_shortened_file),
        cmocka_unit_test(test_what_is_no_file),
        cmocka_unit_test(test_hash),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
