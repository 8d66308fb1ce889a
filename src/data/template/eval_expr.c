#include "eval.h"

/* The value of a name: of the innermost frame that has it, else the global one. */
static struct jinja_value *find_name(struct jinja *j, uint32_t name)
{
    for (struct jinja_frame *f = j->frame; f; f = f->outer)
        for (uint32_t i = 0; i < f->count; i++)
            if (f->bindings[i].name == name)
                return &f->bindings[i].value;
    return &j->globals[name];
}

static enum err_code eval_name(struct jinja *j, const struct jinja_node *n, struct jinja_value *out)
{
    *out = *find_name(j, n->name);
    if (!jinja_is(*out, JINJA_MISSING))
        return ERR_OK;
    return jinja_undefined(j, out, "'%s' is undefined", j->template->names[n->name]);
}

static enum err_code eval_list(struct jinja *j, const struct jinja_node *n, struct jinja_value *out)
{
    struct jinja_value list = {0};
    if (jinja_new_list(j, &list, n->items.count))
        return j->e->code;
    for (size_t i = 0; i < n->items.count; i++)
        if (jinja_eval(j, n->items.items[i], &list.list->items[i]))
            return j->e->code;
    list.list->count = n->items.count;
    list.kind = n->kind == JINJA_N_LIST ? JINJA_LIST : JINJA_TUPLE;
    *out = list;
    return ERR_OK;
}

static enum err_code eval_dict(struct jinja *j, const struct jinja_node *n, struct jinja_value *out)
{
    struct jinja_value dict = {0}, key = {0}, value = {0};
    if (jinja_new_dict(j, &dict, n->items.count / 2))
        return j->e->code;
    for (size_t i = 0; i < n->items.count; i += 2)
        if (jinja_eval(j, n->items.items[i], &key) || jinja_eval(j, n->items.items[i + 1], &value) ||
            jinja_dict_put_value(j, dict.dict, key, value))
            return j->e->code;
    *out = dict;
    return ERR_OK;
}

static enum err_code eval_slice(struct jinja *j, const struct jinja_node *n, struct jinja_value *out)
{
    const struct jinja_node *parts[3] = {n->slice.start, n->slice.stop, n->slice.step};
    struct jinja_value object, bounds[3];
    if (jinja_eval(j, n->slice.object, &object))
        return j->e->code;
    for (int i = 0; i < 3; i++) {
        bounds[i] = jinja_none();
        if (parts[i] && jinja_eval(j, parts[i], &bounds[i]))
            return j->e->code;
    }
    j->at = n;
    return jinja_slice(j, object, bounds, out);
}

/* Room for the arguments, the items of * and ** among them; `first` (may be MISSING) stands in front. */
static enum err_code eval_args(struct jinja *j, const struct jinja_call *call, struct jinja_value first,
                               struct jinja_args *args)
{
    static const struct jinja_call none;
    struct jinja_value star = jinja_none(), star_star = jinja_none();
    size_t lead = !jinja_is(first, JINJA_MISSING);
    call = call ? call : &none;
    if (call->star && (jinja_eval(j, call->star, &star) || jinja_to_list(j, star, &star)))
        return j->e->code;
    if (call->star_star && jinja_eval(j, call->star_star, &star_star))
        return j->e->code;
    if (call->star_star && !jinja_is(star_star, JINJA_DICT))
        return jinja_fail(j, "argument after ** must be a mapping, not %s", jinja_type_name(star_star));
    size_t count = lead + call->positional.count + (call->star ? star.list->count : 0);
    size_t named = call->values.count + (call->star_star ? star_star.dict->count : 0);
    *args = (struct jinja_args){.items = jinja_take(j, count, sizeof *args->items)};
    if (!args->items || (named && !(args->named = jinja_take(j, named, sizeof *args->named))))
        return j->e->code;
    args->items[0] = first;
    args->count = lead;
    for (size_t i = 0; i < call->positional.count; i++)
        if (jinja_eval(j, call->positional.items[i], &args->items[args->count++]))
            return j->e->code;
    for (size_t i = 0; call->star && i < star.list->count; i++)
        args->items[args->count++] = star.list->items[i];
    for (size_t i = 0; i < call->values.count; i++) {
        args->named[args->named_count].name = call->names[i]; /* NOLINT: there is room for all values */
        if (jinja_eval(j, call->values.items[i], &args->named[args->named_count++].value))
            return j->e->code;
    }
    for (size_t i = 0; call->star_star && i < star_star.dict->count; i++) {
        struct jinja_pair *pair = &star_star.dict->pairs[i];
        if (!jinja_is(pair->key, JINJA_STRING) || memchr(pair->key.text->bytes, '\0', pair->key.text->length))
            return jinja_fail(j, "keywords must be strings, without zeros");
        const char *name = jinja_c_string(j, pair->key);
        if (!name)
            return j->e->code;
        for (size_t k = 0; k < args->named_count; k++)
            if (!strcmp(args->named[k].name, name)) /* NOLINT: likewise */
                return jinja_fail(j, "multiple values for the argument '%s'", name);
        args->named[args->named_count++] = (struct jinja_named){name, pair->value}; /* NOLINT: likewise */
    }
    return ERR_OK;
}

/* object.method(...) without a value for the bound method in between. NULL: it is none. */
static const struct jinja_function *method_of(const struct jinja_methods *methods, struct jinja_value object)
{
    switch ((enum jinja_kind)object.kind) {
    case JINJA_STRING:
        return methods->text;
    case JINJA_DICT:
        return methods->dict;
    case JINJA_LIST:
        return methods->list;
    case JINJA_TUPLE:
        return methods->tuple;
    default:
        return NULL;
    }
}

static enum err_code eval_call(struct jinja *j, const struct jinja_node *n, struct jinja_value *out)
{
    struct jinja_args args;
    struct jinja_value callee = {0}, object = {0};
    const struct jinja_node *f = n->call.callee;
    if (f->kind == JINJA_N_ATTRIBUTE) {
        if (jinja_eval(j, f->attribute.object, &object))
            return j->e->code;
        const struct jinja_function *method = method_of(&f->attribute.methods, object);
        j->at = f;
        if (method) {
            if (eval_args(j, n->call.args, object, &args))
                return j->e->code;
            j->at = n;
            return jinja_call_function(j, method, "method", &args, out);
        }
        if (jinja_attribute(j, object, f->attribute.name, f->attribute.length, &f->attribute.methods,
                            &callee))
            return j->e->code;
    } else if (jinja_eval(j, f, &callee)) {
        return j->e->code;
    }
    if (eval_args(j, n->call.args, jinja_make(JINJA_MISSING, 0), &args))
        return j->e->code;
    j->at = n;
    return jinja_call_value(j, callee, &args, out);
}

enum err_code jinja_apply(struct jinja *j, const struct jinja_node *n, struct jinja_value operand,
                          struct jinja_value *out)
{
    bool is_filter = n->kind == JINJA_N_FILTER;
    struct jinja_args args;
    j->at = n;
    if (!n->apply.function)
        return jinja_fail(j, "there is no %s '%s'", is_filter ? "filter" : "test", n->apply.name);
    if (!n->apply.args) {
        args = (struct jinja_args){.items = &operand, .count = 1};
    } else if (eval_args(j, n->apply.args, operand, &args)) {
        return j->e->code;
    }
    j->at = n;
    if (jinja_call_function(j, n->apply.function, is_filter ? "filter" : "test", &args, out))
        return j->e->code;
    if (n->op)
        *out = jinja_bool(!jinja_truth(*out));
    return ERR_OK;
}

static enum err_code eval_unary(struct jinja *j, const struct jinja_node *n, struct jinja_value *out)
{
    struct jinja_value v = {0};
    int64_t integer;
    if (jinja_eval(j, n->pair.left, &v))
        return j->e->code;
    j->at = n;
    if (jinja_is(v, JINJA_UNDEFINED))
        return jinja_fail_undefined(j, v);
    if (jinja_is(v, JINJA_FLOAT)) {
        *out = jinja_make(JINJA_FLOAT, 0);
        out->real = n->op == '-' ? -v.real : v.real;
        return ERR_OK;
    }
    if (!jinja_as_int(v, &integer))
        return jinja_fail(j, "bad operand type for unary %c: '%s'", n->op, jinja_type_name(v));
    if (n->op == '-' && __builtin_sub_overflow(0, integer, &integer))
        return jinja_fail(j, "an integer beyond 64 bits");
    *out = jinja_int(integer);
    return ERR_OK;
}

static enum err_code eval_concat(struct jinja *j, const struct jinja_node *n, struct jinja_value *out)
{
    struct jinja_builder b = {0};
    struct jinja_value v = {0};
    for (size_t i = 0; i < n->items.count; i++) {
        if (jinja_eval(j, n->items.items[i], &v))
            return j->e->code;
        j->at = n;
        if (jinja_build_str(j, &b, v))
            return j->e->code;
    }
    return jinja_build_end(j, &b, out);
}

static enum err_code compare(struct jinja *j, enum jinja_compare op, struct jinja_value a,
                             struct jinja_value b, bool *out)
{
    static const char *const names[] = {"==", "!=", "<", "<=", ">", ">=", "in", "not in"};
    int order;
    if (op == JINJA_EQ || op == JINJA_NE || op == JINJA_IN || op == JINJA_NOT_IN) {
        bool is_equality = op == JINJA_EQ || op == JINJA_NE;
        if (is_equality ? jinja_equal(j, a, b, out) : jinja_contains(j, b, a, out))
            return j->e->code;
        *out = *out == (op == JINJA_EQ || op == JINJA_IN);
        return ERR_OK;
    }
    if (jinja_order(j, a, b, names[op], &order))
        return j->e->code;
    bool unordered = order == 2; /* not a number */
    *out = !unordered && (op == JINJA_LT   ? order < 0
                          : op == JINJA_LE ? order <= 0
                          : op == JINJA_GT ? order > 0
                                           : order >= 0);
    return ERR_OK;
}

static enum err_code eval_compare(struct jinja *j, const struct jinja_node *n, struct jinja_value *out)
{
    struct jinja_value left = {0}, right = {0};
    bool holds = true;
    if (jinja_eval(j, n->compare.first, &left))
        return j->e->code;
    for (size_t i = 0; holds && i < n->compare.rest.count; i++) {
        if (jinja_eval(j, n->compare.rest.items[i], &right))
            return j->e->code;
        j->at = n;
        if (compare(j, (enum jinja_compare)n->compare.ops[i], left, right, &holds))
            return j->e->code;
        left = right;
    }
    *out = jinja_bool(holds);
    return ERR_OK;
}

static enum err_code eval_condition(struct jinja *j, const struct jinja_node *n, struct jinja_value *out)
{
    struct jinja_value test = {0};
    if (jinja_eval(j, n->condition.test, &test))
        return j->e->code;
    if (jinja_truth(test))
        return jinja_eval(j, n->condition.yes, out);
    if (n->condition.no)
        return jinja_eval(j, n->condition.no, out);
    return jinja_undefined(j, out,
                           "the inline if evaluated to false and has no else, so its value is undefined");
}

static enum err_code eval_kind(struct jinja *j, const struct jinja_node *n, struct jinja_value *out)
{
    struct jinja_value left = {0}, right = {0};
    switch ((enum jinja_node_kind)n->kind) {
    case JINJA_N_CONST:
        *out = n->value;
        return ERR_OK;
    case JINJA_N_NAME:
        return eval_name(j, n, out);
    case JINJA_N_LIST:
    case JINJA_N_TUPLE:
        return eval_list(j, n, out);
    case JINJA_N_DICT:
        return eval_dict(j, n, out);
    case JINJA_N_ATTRIBUTE:
        if (jinja_eval(j, n->attribute.object, &left))
            return j->e->code;
        j->at = n;
        return jinja_attribute(j, left, n->attribute.name, n->attribute.length, &n->attribute.methods, out);
    case JINJA_N_ITEM:
        if (jinja_eval(j, n->item.object, &left) || jinja_eval(j, n->item.index, &right))
            return j->e->code;
        j->at = n;
        return jinja_item(j, left, right, out);
    case JINJA_N_SLICE:
        return eval_slice(j, n, out);
    case JINJA_N_CALL:
        return eval_call(j, n, out);
    case JINJA_N_FILTER:
    case JINJA_N_TEST:
        return jinja_eval(j, n->apply.operand, &left) ? j->e->code : jinja_apply(j, n, left, out);
    case JINJA_N_UNARY:
        return eval_unary(j, n, out);
    case JINJA_N_BINARY:
        if (jinja_eval(j, n->pair.left, &left) || jinja_eval(j, n->pair.right, &right))
            return j->e->code;
        j->at = n;
        return jinja_binary(j, (enum jinja_binary)n->op, left, right, out);
    case JINJA_N_CONCAT:
        return eval_concat(j, n, out);
    case JINJA_N_COMPARE:
        return eval_compare(j, n, out);
    case JINJA_N_AND:
    case JINJA_N_OR:
        if (jinja_eval(j, n->pair.left, out))
            return j->e->code;
        return jinja_truth(*out) == (n->kind == JINJA_N_OR) ? ERR_OK : jinja_eval(j, n->pair.right, out);
    case JINJA_N_NOT:
        if (jinja_eval(j, n->pair.left, &left))
            return j->e->code;
        *out = jinja_bool(!jinja_truth(left));
        return ERR_OK;
    case JINJA_N_CONDITION:
        return eval_condition(j, n, out);
    default:
        return jinja_fail(j, "not an expression");
    }
}

enum err_code jinja_eval(struct jinja *j, const struct jinja_node *n, struct jinja_value *out)
{
    j->at = n;
    if (jinja_enter(j) || jinja_spend(j, 1) || eval_kind(j, n, out))
        return j->e->code;
    jinja_leave(j);
    return ERR_OK;
}
