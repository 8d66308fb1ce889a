/*
 * Limits on the content of files that are read, as constants: LIMIT_YAML, LIMIT_RANK, ... See limits.def.
 */
#ifndef MPILORA_BASE_LIMITS_H
#define MPILORA_BASE_LIMITS_H

#define LIMIT(name, number, unit, file, what, why) enum { LIMIT_##name = (number) };
#include "base/limits.def"
#undef LIMIT

#endif
