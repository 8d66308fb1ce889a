/*
 * The checksum of the metadata blocks of an HDF5 file: lookup3, by Bob Jenkins.
 */
#ifndef MPILORA_IO_H5_H5_CHECKSUM_H
#define MPILORA_IO_H5_H5_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

uint32_t h5_lookup3(const unsigned char *bytes, size_t length);

#endif
