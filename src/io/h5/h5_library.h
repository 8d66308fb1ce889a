/*
 * The HDF5 library, as the writer uses it. It writes files and never opens one (h5_format.h).
 */
#ifndef MPILORA_IO_H5_H5_LIBRARY_H
#define MPILORA_IO_H5_H5_LIBRARY_H

#include <hdf5.h>

#include "h5_common.h"

#define H5_REASON_SIZE 512

/* The HDF5 library is told how to behave, once. */
void h5_start_library(void);

/* This thread writes a file by that name; NULL: not any more. Some of the library's functions end the program
 * when an allocation of their own fails (exit(-1), without a word): it then says so, with the status of an
 * error. */
void h5_at_work(const char *path);

hid_t h5_file_access(void);

/* Properties of a new file, group or dataset (H5P_FILE_CREATE, ...): members and attributes stay in its header,
 * however many they are, and nothing depends on the time; so equal content makes equal bytes. */
hid_t h5_properties(hid_t kind);

/* HDF5's own words for the call that has just failed; any other call forgets them. */
const char *h5_reason(char buffer[H5_REASON_SIZE]);

hid_t h5_type_in_file(enum h5_type type);
hid_t h5_type_in_memory(enum h5_type type);

#endif
