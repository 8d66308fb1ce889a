/* Calls: of built-ins, whose arguments are bound to the names in their row, and of macros. */
#include "eval.h"

static int param_count(const char *params)
{
    int count = params && *params;
    for (; params && *params; params++)
        count += *params == ' ';
    return count;
}

/* The place of a name among the parameters, or -1. */
static int param_index(const char *params, const char *name)
{
    size_t length = strlen(name);
    for (int i = 0; params; i++) {
        size_t part = strcspn(params, " ");
        if (part == length && !memcmp(params, name, length))
            return i;
        params = params[part] ? params + part + 1 : NULL;
    }
    return -1;
}

enum err_code jinja_call_function(struct jinja *j, const struct jinja_function *f, const char *kind,
                                  const struct jinja_args *args, struct jinja_value *out)
{
    struct jinja_value a[JINJA_MAX_PARAMS] = {{0}};
    if (jinja_spend(j, 1))
        return j->e->code;
    if (!f->params)
        return f->call(j, a, args, out);
    bool by_place = *f->params == '/';
    const char *params = f->params + by_place;
    int count = param_count(params);
    if (args->count > (size_t)count)
        return jinja_fail(j, "%s '%s' takes at most %d arguments, not %zu", kind, f->name, count,
                          args->count);
    for (size_t i = 0; i < args->count; i++)
        a[i] = args->items[i];
    for (size_t i = 0; i < args->named_count; i++) {
        int at = by_place ? -1 : param_index(params, args->named[i].name);
        if (at < 0)
            return jinja_fail(j, "%s '%s' has no argument of the name '%s'", kind, f->name,
                              args->named[i].name);
        if (!jinja_is(a[at], JINJA_MISSING))
            return jinja_fail(j, "%s '%s' got two values for its argument '%s'", kind, f->name,
                              args->named[i].name);
        a[at] = args->named[i].value;
    }
    for (int i = 0; i < f->required; i++)
        if (jinja_is(a[i], JINJA_MISSING))
            return jinja_fail(j, "%s '%s' needs %d more argument%s", kind, f->name, f->required - i,
                              f->required - i == 1 ? "" : "s");
    return f->call(j, a, args, out);
}

/* The arguments that were given, by place and by name; what no parameter takes is left in `named`. */
static void bind_given(struct jinja *j, const struct jinja_macro *macro, const struct jinja_args *args,
                       struct jinja_value *values, bool *taken)
{
    const struct jinja_signature *s = macro->node->macro.signature;
    for (size_t i = 0; i < s->count; i++) {
        values[i] = i < args->count ? args->items[i] : jinja_make(JINJA_MISSING, 0);
        for (size_t k = 0; i >= args->count && k < args->named_count; k++)
            if (!strcmp(args->named[k].name, j->template->names[s->params[i]])) {
                values[i] = args->named[k].value;
                taken[k] = true;
            }
    }
}

static enum err_code store_kwargs(struct jinja *j, const struct jinja_args *args, const bool *taken)
{
    struct jinja_value dict = {0};
    if (jinja_new_dict(j, &dict, args->named_count))
        return j->e->code;
    for (size_t k = 0; k < args->named_count; k++)
        if (!taken[k] && jinja_dict_put(j, dict.dict, args->named[k].name, args->named[k].value))
            return j->e->code;
    return jinja_store(j, j->template->kwargs_name, dict);
}

static enum err_code store_varargs(struct jinja *j, const struct jinja_args *args, size_t first)
{
    struct jinja_value rest = {0};
    size_t count = args->count > first ? args->count - first : 0;
    if (jinja_new_tuple(j, &rest, count))
        return j->e->code;
    for (size_t i = 0; i < count; i++)
        rest.list->items[i] = args->items[first + i];
    rest.list->count = count;
    return jinja_store(j, j->template->varargs_name, rest);
}

/* `caller`, `kwargs` and `varargs`, if the body mentions them; what is left over otherwise is an error. */
static enum err_code bind_special(struct jinja *j, const struct jinja_macro *macro,
                                  const struct jinja_args *args, bool *taken)
{
    const struct jinja_signature *s = macro->node->macro.signature;
    const char *name = macro->node->macro.name ? macro->node->macro.name : "caller";
    bool own_varargs = false, own_kwargs = false, own_caller = false;
    for (size_t i = 0; i < s->count; i++) {
        own_varargs |= s->params[i] == j->template->varargs_name;
        own_kwargs |= s->params[i] == j->template->kwargs_name;
        own_caller |= s->params[i] == j->template->caller_name;
    }
    if (s->caller && !own_caller) {
        struct jinja_value caller = {0};
        if (jinja_undefined(j, &caller, "No caller defined"))
            return j->e->code;
        for (size_t k = 0; k < args->named_count; k++)
            if (!taken[k] && !strcmp(args->named[k].name, "caller")) {
                caller = args->named[k].value;
                taken[k] = true;
            }
        if (jinja_store(j, j->template->caller_name, caller))
            return j->e->code;
    }
    if (s->kwargs && !own_kwargs) {
        if (store_kwargs(j, args, taken))
            return j->e->code;
    } else {
        for (size_t k = 0; k < args->named_count; k++)
            if (!taken[k])
                return jinja_fail(j, "macro '%s' takes no keyword argument '%s'", name, args->named[k].name);
    }
    if (s->varargs && !own_varargs)
        return store_varargs(j, args, s->count);
    if (args->count > s->count)
        return jinja_fail(j, "macro '%s' takes not more than %zu argument(s)", name, s->count);
    return ERR_OK;
}

static enum err_code store_params(struct jinja *j, const struct jinja_macro *macro,
                                  const struct jinja_value *values)
{
    const struct jinja_signature *s = macro->node->macro.signature;
    size_t without_default = s->count - s->defaults.count;
    for (size_t i = 0; i < s->count; i++) {
        struct jinja_value value = values[i];
        if (jinja_is(value, JINJA_MISSING) && i >= without_default) {
            if (jinja_eval(j, s->defaults.items[i - without_default], &value))
                return j->e->code;
        } else if (jinja_is(value, JINJA_MISSING) &&
                   jinja_undefined(j, &value, "parameter '%s' was not provided",
                                   j->template->names[s->params[i]])) {
            return j->e->code;
        }
        if (jinja_store(j, s->params[i], value))
            return j->e->code;
    }
    return ERR_OK;
}

static enum err_code call_macro(struct jinja *j, const struct jinja_macro *macro,
                                const struct jinja_args *args, struct jinja_value *out)
{
    struct jinja_frame *caller = j->frame;
    uint32_t scope = j->scope;
    size_t count = macro->node->macro.signature->count;
    struct jinja_value *values = jinja_take(j, count, sizeof *values);
    bool *taken = jinja_take(j, args->named_count, sizeof *taken);
    if (!values || !taken)
        return j->e->code;
    memset(taken, 0, args->named_count);
    if (++j->macros > LIMIT_TEMPLATE_MACROS)
        return jinja_fail(j, "more than %d macros inside of each other", LIMIT_TEMPLATE_MACROS);
    struct jinja_frame *frame = jinja_push_frame(j, macro->frame);
    if (!frame)
        return j->e->code;
    bind_given(j, macro, args, values, taken);
    j->frame = frame;
    if (bind_special(j, macro, args, taken) || store_params(j, macro, values) ||
        jinja_capture(j, &macro->node->macro.body, out))
        return j->e->code;
    j->frame = caller;
    j->scope = scope;
    j->macros--;
    return ERR_OK;
}

enum err_code jinja_call_value(struct jinja *j, struct jinja_value f, const struct jinja_args *args,
                               struct jinja_value *out)
{
    switch ((enum jinja_kind)f.kind) {
    case JINJA_UNDEFINED:
        return jinja_fail_undefined(j, f);
    case JINJA_MACRO:
        return call_macro(j, f.macro, args, out);
    case JINJA_FUNCTION:
        return jinja_call_function(j, f.function, "function", args, out);
    case JINJA_METHOD: {
        struct jinja_args with_self = *args;
        with_self.items = jinja_take(j, args->count + 1, sizeof *with_self.items);
        if (!with_self.items)
            return j->e->code;
        with_self.items[0] = f.method->self;
        if (args->count)
            memcpy(with_self.items + 1, args->items, args->count * sizeof *args->items);
        with_self.count++;
        return jinja_call_function(j, f.method->function, "method", &with_self, out);
    }
    case JINJA_LOOP:
        if (args->count != 1 || args->named_count)
            return jinja_fail(j, "a loop is called with one argument");
        return jinja_loop_call(j, f.loop, args->items[0], out);
    default:
        return jinja_fail(j, "'%s' object is not callable", jinja_type_name(f));
    }
}

enum err_code jinja_want_int(struct jinja *j, struct jinja_value v, const char *what, int64_t otherwise,
                             int64_t *out)
{
    *out = otherwise;
    if (jinja_is(v, JINJA_MISSING) || jinja_as_int(v, out))
        return ERR_OK;
    return jinja_fail(j, "%s must be an integer, not '%s'", what, jinja_type_name(v));
}

enum err_code jinja_want_text(struct jinja *j, struct jinja_value v, const char *what)
{
    if (jinja_is(v, JINJA_STRING))
        return ERR_OK;
    return jinja_fail(j, "%s must be a string, not '%s'", what, jinja_type_name(v));
}
