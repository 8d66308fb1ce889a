/*
 * What every unit test includes: CMocka with the headers it wants before itself.
 */
#ifndef MPILORA_TESTS_UNIT_H
#define MPILORA_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/err.h"

/* Fails with the message that the error carries. */
#define assert_ok(call, e)                                                                                   \
    do {                                                                                                     \
        if ((call) != ERR_OK)                                                                                \
            fail_msg("%s: %s", #call, (e)->message);                                                         \
    } while (0)

/* The error has this code, and its message this text in it. */
#define assert_error(call, e, expected, text)                                                                \
    do {                                                                                                     \
        (e)->message[0] = '\0';                                                                              \
        int code_ = (int)(call);                                                                             \
        if (code_ != (int)(expected) || code_ != (int)(e)->code || !strstr((e)->message, text))              \
            fail_msg("%s: code %d and '%s', expected %d and '%s'", #call, code_, (e)->message,               \
                     (int)(expected), text);                                                                 \
    } while (0)

#endif
