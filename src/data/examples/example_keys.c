#include "example_keys.h"

#define IN(form) (1U << EXAMPLE_##form)
#define ANY      (IN(TEXT) | IN(COMPLETION) | IN(MESSAGES))

/* The value that says the same as no key at all: none but null and what is empty, or 1 (true). */
enum neutral { EMPTY, ONE };

static const struct row {
    const char *key;
    bool message;   /* of a message, else of a line */
    unsigned forms; /* whose lines the key would change */
    enum neutral neutral;
    const char *what; /* is not supported */
} rows[] = {
    {"weight", false, ANY, ONE, "weights of examples"},
    {"train", false, ANY, ONE, "leaving examples out"},
    {"chosen", false, ANY, EMPTY, "preference data"},
    {"rejected", false, ANY, EMPTY, "preference data"},
    {"label", false, IN(COMPLETION) | IN(MESSAGES), EMPTY,
     "preference data"}, /* beside a text: a class of it */
    {"tools", false, ANY, EMPTY, "tools"},
    {"functions", false, ANY, EMPTY, "tools"},
    {"tool_calls", false, ANY, EMPTY, "tools"},
    {"function_call", false, ANY, EMPTY, "tools"},
    {"documents", false, ANY, EMPTY, "documents"},
    {"images", false, ANY, EMPTY, "anything but text"},
    {"image", false, ANY, EMPTY, "anything but text"},
    {"videos", false, ANY, EMPTY, "anything but text"},
    {"audios", false, ANY, EMPTY, "anything but text"},
    {"audio", false, ANY, EMPTY, "anything but text"},
    {"weight", true, ANY, ONE, "weights of messages"},
    {"train", true, ANY, ONE, "leaving messages out"},
    {"tool_calls", true, ANY, EMPTY, "tools"},
    {"function_call", true, ANY, EMPTY, "tools"},
    {"reasoning_content", true, ANY, EMPTY, "reasoning beside the content"},
    {"reasoning", true, ANY, EMPTY, "reasoning beside the content"},
    {"thinking", true, ANY, EMPTY, "reasoning beside the content"},
    {"images", true, ANY, EMPTY, "anything but text"},
    {"audio", true, ANY, EMPTY, "anything but text"},
};

static bool says_nothing(const struct json_value *v, enum neutral neutral)
{
    switch (json_kind(v)) {
    case JSON_KIND_ARRAY:
    case JSON_KIND_OBJECT:
        return json_count(v) == 0;
    case JSON_KIND_STRING:
        return json_text(v)[0] == '\0';
    case JSON_KIND_BOOL:
        return neutral == ONE && json_bool(v, false);
    case JSON_KIND_INT:
    case JSON_KIND_REAL:
        return neutral == ONE && json_number(v, 0) == 1;
    default:
        return json_is_absent(v);
    }
}

enum err_code example_check_keys(const struct json_value *object, enum example_form form, bool message,
                                 struct err *e)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct row *r = &rows[i];
        if (r->message == message && r->forms & 1U << form &&
            !says_nothing(json_get(object, r->key), r->neutral))
            return err_set(e, ERR_DATA,
                           "has \"%s\", which would change what is trained, and %s are not supported", r->key,
                           r->what);
    }
    return ERR_OK;
}
