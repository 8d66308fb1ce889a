/*
 * Records of TensorBoard's event files, as bytes: fields of protocol buffers, and the frame of a record
 * (include/run/tensorboard.h has the sources). Each function appends to `out`.
 */
#ifndef MPILORA_RUN_EVENT_RECORD_H
#define MPILORA_RUN_EVENT_RECORD_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum err_code proto_integer(struct str *out, unsigned field, uint64_t value, struct err *e);
enum err_code proto_float(struct str *out, unsigned field, float value, struct err *e);
enum err_code proto_double(struct str *out, unsigned field, double value, struct err *e);
enum err_code proto_doubles(struct str *out, unsigned field, const double *values, size_t count, struct err *e);
/* A text, or a message. */
enum err_code proto_bytes(struct str *out, unsigned field, const void *bytes, size_t length, struct err *e);

enum err_code event_record(struct str *out, const struct str *event, struct err *e);

/* CRC-32C (Castagnoli; RFC 3720, appendix B.4). */
uint32_t event_crc(const void *bytes, size_t length);

#endif
