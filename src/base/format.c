#include "base/format.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

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

static bool is_web_page(const struct start *s)
{
    size_t at = has(s, 0, "\xEF\xBB\xBF", 3) ? 3 : 0;
    while (at < s->length && strchr(" \t\r\n", s->bytes[at]) && s->bytes[at])
        at++;
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

/* ASCII alone: what a binary format begins with has other bytes among so many. */
static bool is_plain_text(const struct start *s)
{
    for (size_t i = 0; i < s->length; i++)
        if (!is_letter(s->bytes[i]))
            return false;
    return s->length > 0;
}

#define MAGIC(at, text) .offset = at, .magic = text, .length = sizeof text - 1
#define UNPACK          "unpack it first, and give what is in it"
#define CONVERT                                                                                              \
    "write its rows as JSON lines, with pandas, say: df.to_json(FILE, orient=\"records\", lines=True)"
#define NONE    (-1)
#define PICKLED "only Python can read it: save it again as safetensors"

static const struct row {
    const char *what, *advice;
    bool (*is)(const struct start *s); /* or: */
    size_t offset, length;
    const char *magic;
    int format; /* whose right form it is, else NONE */
} rows[] = {
    {"a Git LFS pointer, which stands for a file that was not fetched",
     "run `git lfs pull` where it comes from", NULL, MAGIC(0, "version https://git-lfs"), .format = NONE},
    {"a web page, such as a server sends for a login or an error", "fetch the file again, with access to it",
     is_web_page, .format = NONE},
    {"a safetensors file", "a model or an adapter is given as the folder that holds it", is_safetensors,
     .format = FORMAT_SAFETENSORS},
    {"a GGUF file", "it is a model by itself: give it as --model", NULL, MAGIC(0, "GGUF"),
     .format = FORMAT_GGUF},
    {"an HDF5 file", "mpilora's are checkpoints (--adapter, --checkpoint, --resume) and what probe writes",
     NULL, MAGIC(0, "\x89HDF\r\n\x1a\n"), .format = FORMAT_HDF5},
    {"a zip archive, perhaps one of PyTorch's (.bin, .pt)",
     "unpack it first; a model of PyTorch, save again as safetensors", NULL, MAGIC(0, "PK\x03\x04"),
     .format = NONE},
    {"a Python pickle", PICKLED, is_pickle, .format = NONE},
    {"compressed with gzip", UNPACK, NULL, MAGIC(0, "\x1f\x8b"), .format = NONE},
    {"compressed with zstd", UNPACK, NULL, MAGIC(0, "\x28\xb5\x2f\xfd"), .format = NONE},
    {"compressed with xz", UNPACK, NULL,
     MAGIC(0, "\xfd"
              "7zXZ"),
     .format = NONE},
    {"compressed with bzip2", UNPACK, NULL, MAGIC(0, "BZh"), .format = NONE},
    {"a 7-Zip archive", UNPACK, NULL, MAGIC(0, "7z\xbc\xaf\x27\x1c"), .format = NONE},
    {"a tar archive", UNPACK, NULL, MAGIC(257, "ustar"), .format = NONE},
    {"a Parquet file", CONVERT, NULL, MAGIC(0, "PAR1"), .format = NONE},
    {"an Arrow file", CONVERT, NULL, MAGIC(0, "ARROW1"), .format = NONE},
    {"a NumPy array", "it is no format that mpilora reads", NULL, MAGIC(0, "\x93NUMPY"), .format = NONE},
    {"an SQLite database", CONVERT, NULL, MAGIC(0, "SQLite format 3"), .format = NONE},
    {"a PDF document", "mpilora reads text: take the text out of it", NULL, MAGIC(0, "%PDF-"),
     .format = NONE},
    /* What begins with few and common bytes comes last. */
    {"text in UTF-16, as some Windows programs write it",
     "save it as UTF-8: iconv -f UTF-16 -t UTF-8 FILE >NEW", is_utf16, .format = NONE},
    {"text", "look into it: it may be the answer of a server, or a note in place of the file", is_plain_text,
     .format = FORMAT_TEXT},
};

static bool matches(const struct row *r, const struct start *s)
{
    return r->is ? r->is(s) : has(s, r->offset, r->magic, r->length);
}

bool format_is(enum format format, const void *bytes, size_t length)
{
    const struct start start = {bytes, length < FORMAT_BYTES ? length : FORMAT_BYTES};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].format == (int)format)
            return matches(&rows[i], &start);
    return false;
}

enum err_code format_expect(enum format wanted, const void *bytes, size_t length, const char *path,
                            struct err *e)
{
    static const char *const names[] = {[FORMAT_TEXT] = "text",
                                        [FORMAT_SAFETENSORS] = "a safetensors file",
                                        [FORMAT_GGUF] = "a GGUF file",
                                        [FORMAT_HDF5] = "an HDF5 file"};
    const struct start start = {bytes, length < FORMAT_BYTES ? length : FORMAT_BYTES};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *r = &rows[i];
        if (!matches(r, &start))
            continue;
        if (r->format == (int)wanted)
            return ERR_OK;
        return err_set(e, ERR_FORMAT, "%s: %s is wanted here, and this is %s: %s", path, names[wanted],
                       r->what, r->advice);
    }
    return ERR_OK;
}
