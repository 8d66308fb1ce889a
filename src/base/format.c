#include "base/format.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"

struct start {
    const unsigned char *bytes;
    size_t length;
};

static bool has(const struct start *s, size_t at, const char *magic, size_t length)
{
    return s->length >= at + length && memcmp(s->bytes + at, magic, length) == 0;
}

static bool is_letter(unsigned char byte)
{
    return (byte >= ' ' && byte < 127) || byte == '\t' || byte == '\r' || byte == '\n';
}

/* With a mark, or letters of ASCII without one. */
static bool is_utf16(const struct start *s)
{
    const unsigned char *b = s->bytes;
    if (has(s, 0, "\xFF\xFE", 2) || has(s, 0, "\xFE\xFF", 2))
        return true;
    return s->length >= 4 && ((is_letter(b[0]) && !b[1] && is_letter(b[2]) && !b[3]) ||
                              (!b[0] && is_letter(b[1]) && !b[2] && is_letter(b[3])));
}

/* The same with four bytes a letter; asked first, since one order of them begins as UTF-16 does. */
static bool is_utf32(const struct start *s)
{
    const unsigned char *b = s->bytes;
    if (has(s, 0, "\xFF\xFE\0\0", 4) || has(s, 0, "\0\0\xFE\xFF", 4))
        return true;
    return s->length >= 8 && ((is_letter(b[0]) && has(s, 1, "\0\0\0", 3) && has(s, 5, "\0\0\0", 3)) ||
                              (has(s, 0, "\0\0\0", 3) && is_letter(b[3]) && has(s, 4, "\0\0\0", 3)));
}

static size_t after_white(const struct start *s, size_t at)
{
    while (at < s->length && s->bytes[at] && strchr(" \t\r\n", s->bytes[at]))
        at++;
    return at;
}

/* The first byte that is neither of a byte order mark nor white. */
static size_t first_letter(const struct start *s)
{
    return after_white(s, has(s, 0, "\xEF\xBB\xBF", 3) ? 3 : 0);
}

static bool is_web_page(const struct start *s)
{
    const size_t at = first_letter(s);
    const char *text = (const char *)s->bytes + at;
    return (s->length - at >= 14 && strncasecmp(text, "<!doctype html", 14) == 0) ||
           (s->length - at >= 5 && strncasecmp(text, "<html", 5) == 0);
}

/* The length of its header, which no file reaches the upper half of, and then the header. */
static bool is_safetensors(const struct start *s)
{
    return has(s, 4, "\0\0\0\0{", 5);
}

static bool is_pickle(const struct start *s)
{
    return s->length >= 2 && s->bytes[0] == 0x80 && s->bytes[1] >= 2 && s->bytes[1] <= 5;
}

/* What a binary format begins with has other bytes among so many. */
static bool is_text(const struct start *s)
{
    const size_t valid = str_utf8_valid_prefix((const char *)s->bytes, s->length);
    if (valid < s->length && !(s->length == FORMAT_BYTES && s->length - valid < 4)) /* cut off inside a character */
        return false;
    for (size_t i = 0; i < valid; i++)
        if (s->bytes[i] < 128 && !is_letter(s->bytes[i]))
            return false;
    return s->length > 0;
}

/* As an object or a list of values begins; a chat template may begin with the same brackets, and goes on otherwise. */
static bool is_json(const struct start *s)
{
    size_t at = first_letter(s);
    if (at == s->length || !strchr("{[", s->bytes[at]) || !is_text(s))
        return false;
    while (at < s->length && s->bytes[at] == '[')
        at = after_white(s, at + 1);
    if (at < s->length && s->bytes[at] == '{') {
        at = after_white(s, at + 1);
        return at == s->length || strchr("\"}", s->bytes[at]);
    }
    return at == s->length || strchr("\"-0123456789]", s->bytes[at]);
}

/* Two lines that are not JSON, the first of which has the separator. */
static bool is_table(const struct start *s, char separator)
{
    size_t at = first_letter(s);
    const unsigned char *line = s->bytes + at, *end = memchr(line, '\n', s->length - at);
    if (!end || end + 1 == s->bytes + s->length || strchr("{[", *line) || strchr("{[", end[1]) || !is_text(s))
        return false;
    return memchr(line, separator, (size_t)(end - line)) != NULL;
}

static bool has_tabs(const struct start *s)
{
    return is_table(s, '\t');
}

static bool has_commas(const struct start *s)
{
    return is_table(s, ',') || is_table(s, ';');
}

#define MAGIC(at, text) .offset = at, .magic = text, .length = sizeof text - 1
#define UNPACK          "unpack it first, and give what is in it"
#define ROWS(read)                                                                                           \
    "write its rows as JSON lines, with pandas, say: pd." read                                               \
    ".to_json(NEW, orient=\"records\", lines=True)"
#define PICKLED       "only Python can read it: save it again as safetensors"
#define RIGHT(format) (1U << FORMAT_##format)

static const struct row {
    const char *what, *advice;
    bool (*is)(const struct start *s); /* or: */
    size_t offset, length;
    const char *magic;
    unsigned right; /* of which formats it is one, or may be: their readers judge it */
} rows[] = {
    {"a Git LFS pointer, which stands for a file that was not fetched",
     "run `git lfs pull` where it comes from", NULL, MAGIC(0, "version https://git-lfs")},
    {"a web page, such as a server sends for a login or an error", "fetch the file again, with access to it",
     .is = is_web_page},
    {"a safetensors file", "a model or an adapter is given as the folder that holds it", is_safetensors,
     .right = RIGHT(SAFETENSORS)},
    {"a GGUF file", "it is a model by itself: give it as --model", NULL, MAGIC(0, "GGUF"), .right = RIGHT(GGUF)},
    {"an HDF5 file", "mpilora's are checkpoints (--adapter, --checkpoint, --resume) and what probe writes",
     NULL, MAGIC(0, "\x89HDF\r\n\x1a\n"), .right = RIGHT(HDF5)},
    {"a zip archive, perhaps one of PyTorch's (.bin, .pt) or a workbook (.xlsx)",
     "unpack it first; save a model of PyTorch again as safetensors, the rows of a workbook as JSON lines", NULL,
     MAGIC(0, "PK\x03\x04")},
    {"a Python pickle", PICKLED, .is = is_pickle},
    {"compressed with gzip", UNPACK, NULL, MAGIC(0, "\x1f\x8b")},
    {"compressed with zstd", UNPACK, NULL, MAGIC(0, "\x28\xb5\x2f\xfd")},
    {"compressed with xz", UNPACK, NULL,
     MAGIC(0, "\xfd"
              "7zXZ")},
    {"compressed with bzip2", UNPACK, NULL, MAGIC(0, "BZh")},
    {"a 7-Zip archive", UNPACK, NULL, MAGIC(0, "7z\xbc\xaf\x27\x1c")},
    {"a tar archive", UNPACK, NULL, MAGIC(257, "ustar")},
    {"a Parquet file", ROWS("read_parquet(FILE)"), NULL, MAGIC(0, "PAR1")},
    {"an Arrow file", ROWS("read_feather(FILE)"), NULL, MAGIC(0, "ARROW1")},
    {"a NumPy array", "it is no format that mpilora reads", NULL, MAGIC(0, "\x93NUMPY")},
    {"an SQLite database", "write its rows as JSON lines", NULL, MAGIC(0, "SQLite format 3")},
    {"a PDF document", "mpilora reads text: take the text out of it", NULL, MAGIC(0, "%PDF-")},
    /* What begins with few and common bytes comes last. */
    {"text in UTF-32", "save it as UTF-8: iconv -f UTF-32 -t UTF-8 FILE >NEW", .is = is_utf32},
    {"text in UTF-16, as some Windows programs write it",
     "save it as UTF-8: iconv -f UTF-16 -t UTF-8 FILE >NEW", .is = is_utf16},
    {"JSON", "it may be data (--data), or the answer of a server in place of the file: look into it", is_json,
     .right = RIGHT(TEXT) | RIGHT(JSON)},
    {"a table with tabs (TSV)", ROWS("read_csv(FILE, sep=\"\\t\")"), has_tabs,
     .right = RIGHT(TEXT) | RIGHT(TEMPLATE)},
    {"a table with commas (CSV)", ROWS("read_csv(FILE)"), has_commas, .right = RIGHT(TEXT) | RIGHT(TEMPLATE)},
    {"text", "look into it: it may be the answer of a server, or a note in place of the file", is_text,
     .right = RIGHT(TEXT) | RIGHT(JSON) | RIGHT(TEMPLATE)},
};

static bool matches(const struct row *r, const struct start *s)
{
    return r->is ? r->is(s) : has(s, r->offset, r->magic, r->length);
}

static const struct row *find(const void *bytes, size_t length)
{
    const struct start start = {bytes, length < FORMAT_BYTES ? length : FORMAT_BYTES};
    for (size_t i = 0; start.length && i < sizeof rows / sizeof *rows; i++)
        if (matches(&rows[i], &start))
            return &rows[i];
    return NULL;
}

bool format_is(enum format format, const void *bytes, size_t length)
{
    const struct row *r = find(bytes, length);
    return r && r->right >> format & 1;
}

const char *format_name(const void *bytes, size_t length)
{
    const struct row *r = find(bytes, length);
    return r ? r->what : "of no format that is known here";
}

enum err_code format_expect(enum format wanted, const void *bytes, size_t length, const char *path,
                            struct err *e)
{
    static const char *const names[] = {[FORMAT_TEXT] = "text",
                                        [FORMAT_JSON] = "JSON",
                                        [FORMAT_TEMPLATE] = "a chat template (Jinja)",
                                        [FORMAT_SAFETENSORS] = "a safetensors file",
                                        [FORMAT_GGUF] = "a GGUF file",
                                        [FORMAT_HDF5] = "an HDF5 file, such as a checkpoint,"};
    const struct row *r = find(bytes, length);
    if (!r || r->right >> wanted & 1)
        return ERR_OK;
    return err_set(e, ERR_FORMAT, "%s: %s is wanted here, and this is %s: %s", path, names[wanted], r->what,
                   r->advice);
}
