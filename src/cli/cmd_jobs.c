#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "cli/commands.h"

enum { FILE_MOST = 16 << 20 }; /* of a file among the scripts */

/* A copy of the scripts, under way. */
struct copy {
    char program[PATH_MAX]; /* this one, which they shall start */
    struct str bytes;       /* of the file at work */
};

static enum err_code find_program(char program[PATH_MAX], struct err *e)
{
    ssize_t length = readlink("/proc/self/exe", program, PATH_MAX - 1);
    if (length <= 0)
        return err_set_errno(e, errno, "cannot find out where this program is");
    program[length] = '\0';
    return ERR_OK;
}

/* The folder of an installation's files, from where its program is. */
static enum err_code find_share(char share[PATH_MAX], const char *program, struct err *e)
{
    char bin[PATH_MAX];
    snprintf(bin, sizeof bin, "%s", program);
    file_cut_last_part(bin);
    if (file_join(share, PATH_MAX, bin, MPILORA_SHARE_FROM_BIN, e))
        return e->code;
    if (!file_is_folder(share))
        return err_set(e, ERR_USAGE,
                       "%s is not installed: its job scripts are in the folder jobs of its sources, and work from "
                       "there. `cmake --install` puts them where this command finds them",
                       program);
    return ERR_OK;
}

/* In env.sh, the program is the one of this installation. */
static enum err_code set_program(struct copy *c, const char *path, struct err *e)
{
    static const char usual[] = "${top:-$PWD}/build/mpilora";
    struct str out = {0};
    const char *at = strstr(c->bytes.data, usual);
    if (!at || strchr(c->program, '\''))
        return err_set(e, ERR_UNSUPPORTED, "%s: the path %s cannot be put in", path, c->program);
    if (str_append(&out, c->bytes.data, (size_t)(at - c->bytes.data), e) ||
        str_appendf(&out, e, "'%s'%s", c->program, at + strlen(usual))) {
        str_release(&out);
        return e->code;
    }
    str_release(&c->bytes);
    c->bytes = out;
    return ERR_OK;
}

static enum err_code copy_file(struct copy *c, const char *from, const char *to, mode_t mode, struct err *e)
{
    struct file_out out;
    if (file_read_all(&c->bytes, from, FILE_MOST, e))
        return e->code;
    if (str_ends_with(to, "/jobs/env.sh") && set_program(c, from, e))
        return e->code;
    if (file_out_create(&out, to, e))
        return e->code;
    enum err_code code = file_out_put(&out, c->bytes.data, c->bytes.length, e);
    if (!code && fchmod(out.fd, mode & 0777))
        code = err_set_errno(e, errno, "cannot set the permissions of %s", to);
    return file_out_finish(&out, code, e);
}

static enum err_code copy_folder(struct copy *c, const char *from, const char *to, struct err *e);

static enum err_code copy_entry(struct copy *c, const char *from, const char *to, const char *name, struct err *e)
{
    char source[PATH_MAX], target[PATH_MAX];
    struct stat st;
    if (file_join(source, sizeof source, from, name, e) || file_join(target, sizeof target, to, name, e))
        return e->code;
    if (stat(source, &st))
        return err_set_errno(e, errno, "%s", source);
    return S_ISDIR(st.st_mode) ? copy_folder(c, source, target, e) : copy_file(c, source, target, st.st_mode, e);
}

static enum err_code copy_folder(struct copy *c, const char *from, const char *to, struct err *e)
{
    DIR *list = opendir(from);
    if (!list)
        return err_set_errno(e, errno, "cannot list %s", from);
    enum err_code code = file_make_folders(to, e);
    for (struct dirent *d; !code && (d = readdir(list));)
        if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
            code = copy_entry(c, from, to, d->d_name, e);
    closedir(list);
    return code;
}

enum err_code cmd_jobs(const struct options *o, struct dist *d, struct err *e)
{
    (void)d;
    static const char *const parts[] = {"jobs", "scripts"};
    const char *folder = o->set.argument;
    struct copy c = {0};
    char share[PATH_MAX], from[PATH_MAX], to[PATH_MAX];
    if (find_program(c.program, e) || find_share(share, c.program, e))
        return e->code;
    if (file_exists(folder) && !file_holds_only(folder, NULL))
        return err_set(e, ERR_USAGE, "%s is not an empty folder: give a new one", folder);
    enum err_code code = ERR_OK;
    for (size_t i = 0; !code && i < sizeof parts / sizeof *parts; i++) {
        code = file_join(from, sizeof from, share, parts[i], e);
        if (!code)
            code = file_join(to, sizeof to, folder, parts[i], e);
        if (!code)
            code = copy_folder(&c, from, to, e);
    }
    str_release(&c.bytes);
    if (!code)
        log_note("%s holds the job scripts, for %s; see jobs/README.md there, and start them from there: cd %s", folder,
                 c.program, folder);
    return code;
}
