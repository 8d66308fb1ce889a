/*
 * How the writer uses the HDF5 library. The library only writes files; it never opens one (h5_format.h reads).
 */
#ifndef MPILORA_IO_H5_H5_LIBRARY_H
#define MPILORA_IO_H5_H5_LIBRARY_H

#include <hdf5.h>

#include "h5_common.h"

#define H5_REASON_SIZE 512

/* Configures the library for the calling thread; more than once is fine. */
void h5_start_library(void);

/* Says that this thread is writing the file `path`; NULL: no longer. Some functions of the library end the program
 * when one of their allocations fails (exit(-1), without a message). If that happens meanwhile, the program prints
 * an error about this file and ends with the status of an error. */
void h5_at_work(const char *path);

hid_t h5_file_access(void);

/* Properties of a new file, group or dataset (H5P_FILE_CREATE, ...). With them, all members and attributes are
 * stored in its header, however many there are, and no times are stored, so equal content gives equal bytes. */
hid_t h5_properties(hid_t kind);

/* HDF5's error message for the call that has just failed; the next call of the library clears it. */
const char *h5_reason(char buffer[H5_REASON_SIZE]);

hid_t h5_type_in_file(enum h5_type type);
hid_t h5_type_in_memory(enum h5_type type);

#endif
