/*
 * The linear layers of a model by the last part of their paths.
 */
#ifndef MPILORA_TESTS_LINEARS_H
#define MPILORA_TESTS_LINEARS_H

#include <string.h>

#include "model/arch.h"
#include "unit.h"

static inline size_t linear_of(const struct arch *a, const char *name)
{
    for (size_t i = 0; i <= arch_head(a); i++) {
        const char *path = arch_module(a, i)->path, *dot = strrchr(path, '.');
        if (strcmp(dot ? dot + 1 : path, name) == 0)
            return i;
    }
    fail_msg("no linear layer %s", name);
    return 0;
}

#endif
