#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "scratch.h"

#define GOLDEN_LIMIT ((size_t)1 << 20)

static struct scratch folder;
static size_t tried, refused;
static struct err last;

static void finish(void)
{
    scratch_close(&folder);
#ifdef MPILORA_FUZZ
    fprintf(stderr, "fuzz: %zu inputs, %zu clean errors\n", tried, refused);
#endif
}

const char *fuzz_folder(void)
{
    if (!*folder.folder) {
        fuzz_check(scratch_open(&folder), "no folder for the inputs");
        atexit(finish);
    }
    return folder.folder;
}

const char *fuzz_path(const char *name)
{
    fuzz_folder();
    return scratch_path(&folder, name);
}

void fuzz_check(int good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "fuzz: %s\n", what);
    abort();
}

void fuzz_need(enum err_code code, const struct err *e)
{
    fuzz_check(!code, e->message);
}

void fuzz_put(const char *name, const void *bytes, size_t size)
{
    const char *path = fuzz_path(name);
    unlink(path); /* a new file: file systems flush one that is cut to nothing and written again */
    FILE *f = fopen(path, "wb");
    fuzz_check(f && fwrite(bytes, 1, size, f) == size && fclose(f) == 0, path);
}

void fuzz_copy(const char *name, const char *golden)
{
    const char *root = getenv("GOLDEN");
    char path[PATH_MAX];
    struct str bytes = {0};
    struct err e;
    snprintf(path, sizeof path, "%s/%s", root ? root : "tests/golden", golden);
    fuzz_need(file_read_all(&bytes, path, GOLDEN_LIMIT, &e), &e);
    fuzz_put(name, bytes.data, bytes.length);
    str_release(&bytes);
}

struct fuzz_part fuzz_next(struct fuzz_part *rest)
{
    const size_t cut = sizeof FUZZ_CUT - 1;
    struct fuzz_part part = *rest;
    const char *at = rest->size ? memmem(rest->bytes, rest->size, FUZZ_CUT, cut) : NULL;
    if (at)
        part.size = (size_t)(at - rest->bytes);
    size_t used = part.size + (at ? cut : 0);
    rest->bytes += used;
    rest->size -= used;
    return part;
}

void fuzz_tally(size_t *inputs, size_t *errors, const char **reason)
{
    *inputs = tried;
    *errors = refused;
    *reason = last.code ? last.message : "";
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct err e = {0};
    fuzz_folder();
    log_set_speaking(false);
    enum err_code code = fuzz_read(size ? (const char *)bytes : "", size, &e);
    tried++;
    refused += code != ERR_OK;
    last = e;
    if (!code)
        return 0;
    if (code != e.code || code == ERR_MEMORY || !strstr(e.message, folder.folder)) {
        fprintf(stderr, "fuzz: the error %d (%s) has the message: %s\n", (int)code, err_word(e.code),
                e.message);
        abort();
    }
    return 0;
}
