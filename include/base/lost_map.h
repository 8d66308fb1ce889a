/*
 * Handles the loss of mapped bytes: when a mapped file is shortened in place, or its disk fails, reading these
 * bytes raises SIGBUS, which would end the process with a stack dump. With this module the process ends with one
 * line that names the file, and with status 1.
 *
 * The program cannot continue: the bytes are lost, and any code in any thread may be reading them. The files of a
 * run are complete on disk at every moment, so the run can be resumed.
 */
#ifndef MPILORA_BASE_LOST_MAP_H
#define MPILORA_BASE_LOST_MAP_H

#include <stddef.h>

/* Installs a handler for SIGBUS. Call it again after a library has installed its own handler, as MPI does when it
 * starts. A bus error outside of mapped files is passed to the previous handler. */
void lost_map_install(void);

/* Registers and removes a mapping: the bytes [data, data + size) belong to the file `path`. Callable from any
 * thread; base/file.c calls them. */
void lost_map_add(const void *data, size_t size, const char *path);
void lost_map_remove(const void *data);

#endif
