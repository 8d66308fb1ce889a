/* Runs files, and all files of folders, through a fuzz target: `fuzz_<reader> FILE|FOLDER...` */
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/file.h"
#include "fuzz.h"

#define INPUT_LIMIT  ((size_t)16 << 20)
#define SECONDS_EACH 20
#define MEMORY_MAX   ((rlim_t)2 << 30) /* address space; what a lying size asks for is more */

static size_t tried, refused;
static const char *reason;

static void run_file(const char *path)
{
    struct err e;
    struct str bytes = {0};
    fuzz_need(file_read_all(&bytes, path, INPUT_LIMIT, &e), &e);
    printf("%s\n", path);
    fflush(stdout); /* the last one named is the one that failed */
    alarm(SECONDS_EACH);
    LLVMFuzzerTestOneInput((const uint8_t *)bytes.data, bytes.length);
    alarm(0);
    fuzz_tally(&tried, &refused, &reason);
    printf("    %s\n", *reason ? reason : "is read");
    str_release(&bytes);
}

int main(int argc, char **argv)
{
#ifndef __SANITIZE_ADDRESS__ /* whose shadow is beyond any limit */
    setrlimit(RLIMIT_AS, &(struct rlimit){MEMORY_MAX, MEMORY_MAX});
#endif
    for (int i = 1; i < argc; i++) {
        DIR *dir = opendir(argv[i]);
        if (!dir && file_exists(argv[i]))
            run_file(argv[i]);
        for (const struct dirent *entry; dir && (entry = readdir(dir));) {
            char path[PATH_MAX];
            struct err e;
            fuzz_need(file_join(path, sizeof path, argv[i], entry->d_name, &e), &e);
            if (entry->d_name[0] != '.')
                run_file(path);
        }
        if (dir)
            closedir(dir);
    }
    printf("%zu inputs, %zu clean errors\n", tried, refused);
    return tried == 0; /* nothing to run would prove nothing */
}
