#include "h5_library.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

#define METADATA_BLOCK 16384 /* bytes */

/* Not constants: the library makes them when it starts. Little-endian in the file, whatever the machine. */
hid_t h5_type_in_file(enum h5_type type)
{
    switch (type) {
    case H5_F32:
        return H5T_IEEE_F32LE;
    case H5_I32:
        return H5T_STD_I32LE;
    case H5_I8:
        return H5T_STD_I8LE;
    case H5_U64:
        return H5T_STD_U64LE;
    case H5_F64:
        return H5T_IEEE_F64LE;
    case H5_I64:
        return H5T_STD_I64LE;
    case H5_TEXT: /* a type for each length */
        break;
    }
    return H5I_INVALID_HID;
}

hid_t h5_type_in_memory(enum h5_type type)
{
    switch (type) {
    case H5_F32:
        return H5T_NATIVE_FLOAT;
    case H5_I32:
        return H5T_NATIVE_INT32;
    case H5_I8:
        return H5T_NATIVE_INT8;
    case H5_U64:
        return H5T_NATIVE_UINT64;
    case H5_F64:
        return H5T_NATIVE_DOUBLE;
    case H5_I64:
        return H5T_NATIVE_INT64;
    case H5_TEXT:
        break;
    }
    return H5I_INVALID_HID;
}

static _Thread_local const char *at_work;

void h5_at_work(const char *path)
{
    at_work = path;
}

static void tell_of_exit(void)
{
    if (!at_work) /* of the thread that calls exit() */
        return;
    log_error("%s: the HDF5 library has ended the program in the middle of it, as it does when it gets no "
              "memory. The "
              "checkpoints on disk stay, and the same command goes on from the newest",
              at_work);
    _exit(err_exit_status(ERR_MEMORY));
}

/* H5dont_atexit must come first: after a failed close the library crashes in its own exit handler. No plugin
 * is ever loaded, and errors go into our messages instead of stderr: where the library is built for threads, each
 * thread has that setting for itself. The library starts with the first call that needs it; if it gets no memory
 * then, it says so on stderr in its own words, and the next call tries again. */
void h5_start_library(void)
{
    static bool registered, without_plugins;
    if (!registered) {
        H5dont_atexit();
        atexit(tell_of_exit);
        registered = true;
    }
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    if (!without_plugins)
        without_plugins = H5PLset_loading_state(0) >= 0;
}

/* File access: the format whose metadata has checksums, in pieces of some headers each, which takes a tenth less
 * time; no locks, since a file appears under its name only when it is complete, and some cluster file systems
 * have none. */
hid_t h5_file_access(void)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110);
    H5Pset_meta_block_size(access, METADATA_BLOCK);
#if H5_VERSION_GE(1, 10, 7)
    H5Pset_file_locking(access, false, true);
#endif
    return access;
}

hid_t h5_properties(hid_t kind)
{
    enum { MOST = 65535 }; /* HDF5's own limit */
    hid_t p = H5Pcreate(kind);
    H5Pset_attr_phase_change(p, MOST, 0);
    H5Pset_obj_track_times(p, false);
    if (kind == H5P_DATASET_CREATE)
        H5Pset_fill_time(p, H5D_FILL_TIME_NEVER);
    else
        H5Pset_link_phase_change(p, MOST, 0);
    return p;
}

static herr_t take_reason(unsigned n, const H5E_error2_t *entry, void *out)
{
    static const char before[] = "error message = '"; /* the operating system's words, among much else */
    if (n > 0)                                        /* the first is the innermost, which knows the cause */
        return 0;
    const char *cause = strstr(entry->desc, before);
    if (cause) {
        cause += sizeof before - 1;
        snprintf(out, H5_REASON_SIZE, "%.*s: %.*s", (int)strcspn(entry->desc, ":"), entry->desc,
                 (int)strcspn(cause, "'"), cause);
    } else {
        snprintf(out, H5_REASON_SIZE, "%s", entry->desc);
    }
    return 0;
}

const char *h5_reason(char buffer[H5_REASON_SIZE])
{
    snprintf(buffer, H5_REASON_SIZE, "no reason given");
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_reason, buffer);
    return buffer;
}

const char *h5_version(void)
{
    static char text[32];
    unsigned major, minor, release;
    h5_start_library(); /* any first call starts it */
    H5get_libversion(&major, &minor, &release);
    snprintf(text, sizeof text, "%u.%u.%u", major, minor, release);
    return text;
}
