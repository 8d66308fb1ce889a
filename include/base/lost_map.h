/*
 * A mapped file that is shortened, or whose disk fails, under the program: reading it there is a bus error, which
 * would end the process with a dump of the stack. Instead it ends with one line that names the file, and status 1.
 *
 * Nothing can be mended at that place: the bytes are gone, in the middle of any code of any thread. What is on disk of
 * a run is whole at each moment.
 */
#ifndef MPILORA_BASE_LOST_MAP_H
#define MPILORA_BASE_LOST_MAP_H

#include <stddef.h>

/* Takes over SIGBUS. Once more after a library has taken it over in its turn, as MPI does when it starts. A bus error
 * elsewhere is the earlier handler's. */
void lost_map_install(void);

/* What is mapped there is this file's. For any thread; base/file.c calls them. */
void lost_map_add(const void *data, size_t size, const char *path);
void lost_map_remove(const void *data);

#endif
