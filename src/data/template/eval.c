#include "eval.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum err_code jinja_fail(struct jinja *j, const char *format, ...)
{
    char message[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    return jinja_source_fail(&j->template->source, j->at ? j->at->offset : 0, j->e, ERR_DATA, "%s", message);
}

enum err_code jinja_fail_undefined(struct jinja *j, struct jinja_value v)
{
    return jinja_fail(j, "%s", v.hint ? v.hint : "an undefined value is used");
}

void *jinja_take(struct jinja *j, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        bytes = SIZE_MAX;
    void *piece = jinja_heap_take(&j->heap, bytes, j->e);
    if (!piece) {
        struct err why = *j->e;
        jinja_fail(j, "%s", why.message);
        j->e->code = why.code;
    }
    return piece;
}

enum err_code jinja_spend(struct jinja *j, size_t steps)
{
    j->steps += steps;
    return j->steps > LIMIT_TEMPLATE_STEPS
               ? jinja_fail(j, "more than %d steps: the template does not come to an end",
                            LIMIT_TEMPLATE_STEPS)
               : ERR_OK;
}

struct jinja_frame *jinja_push_frame(struct jinja *j, struct jinja_frame *outer)
{
    struct jinja_frame *f = jinja_take(j, 1, sizeof *f);
    if (f)
        *f = (struct jinja_frame){.outer = outer};
    return f;
}

enum err_code jinja_store_in(struct jinja *j, struct jinja_frame *f, uint32_t name, struct jinja_value value)
{
    for (uint32_t i = 0; i < f->count; i++)
        if (f->bindings[i].name == name) {
            f->bindings[i].value = value;
            return ERR_OK;
        }
    if (f->count == f->capacity) {
        uint32_t capacity = f->capacity ? 2 * f->capacity : 4;
        struct jinja_binding *grown = jinja_take(j, capacity, sizeof *grown);
        if (!grown)
            return j->e->code;
        if (f->count)
            memcpy(grown, f->bindings, f->count * sizeof *grown);
        f->bindings = grown;
        f->capacity = capacity;
    }
    f->bindings[f->count++] = (struct jinja_binding){name, value};
    return ERR_OK;
}

enum err_code jinja_store(struct jinja *j, uint32_t name, struct jinja_value value)
{
    if (j->frame)
        return jinja_store_in(j, j->frame, name, value);
    j->globals[name] = value;
    return ERR_OK;
}

static enum err_code assign_items(struct jinja *j, const struct jinja_nodes *targets,
                                  struct jinja_value value)
{
    struct jinja_value list = {0};
    if (jinja_is(value, JINJA_UNDEFINED) || !jinja_is_iterable(value))
        return jinja_fail(j, "cannot unpack '%s' into %zu names", jinja_type_name(value), targets->count);
    if (jinja_to_list(j, value, &list))
        return j->e->code;
    if (list.list->count != targets->count)
        return jinja_fail(j, "%zu values to unpack into %zu names", list.list->count, targets->count);
    for (size_t i = 0; i < targets->count; i++)
        if (jinja_assign(j, targets->items[i], list.list->items[i]))
            return j->e->code;
    return ERR_OK;
}

enum err_code jinja_assign(struct jinja *j, const struct jinja_node *target, struct jinja_value value)
{
    if (target->kind == JINJA_N_NAME)
        return jinja_store(j, target->name, value);
    j->at = target;
    if (target->kind == JINJA_N_TUPLE)
        return assign_items(j, &target->items, value);
    struct jinja_value space = {0};
    struct jinja_node name = {
        .kind = JINJA_N_NAME, .offset = target->offset, .name = target->namespace_item.space};
    if (jinja_eval(j, &name, &space))
        return j->e->code;
    j->at = target;
    if (!jinja_is(space, JINJA_NAMESPACE))
        return jinja_fail(j, "cannot assign to an attribute of what is not a namespace");
    if (target->namespace_item.name[0] == '_')
        return jinja_fail(j, "a namespace has no attributes that begin with an underscore: '%s'",
                          target->namespace_item.name);
    return jinja_dict_put(j, space.dict, target->namespace_item.name, value);
}

enum err_code jinja_capture(struct jinja *j, const struct jinja_nodes *body, struct jinja_value *out)
{
    struct jinja_builder b = {.is_output = true}, *outer = j->out;
    j->out = &b;
    enum err_code code = jinja_run(j, body);
    j->out = outer;
    return code ? code : jinja_build_end(j, &b, out);
}

/* A body in a scope of its own, captured. */
static enum err_code capture_scope(struct jinja *j, const struct jinja_nodes *body, struct jinja_value *out)
{
    struct jinja_frame *outer = j->frame;
    if (!(j->frame = jinja_push_frame(j, outer)))
        return j->e->code;
    enum err_code code = jinja_capture(j, body, out);
    j->frame = outer;
    return code;
}

static enum err_code run_print(struct jinja *j, const struct jinja_node *n)
{
    struct jinja_value v = {0};
    for (size_t i = 0; i < n->items.count; i++) {
        if (jinja_eval(j, n->items.items[i], &v))
            return j->e->code;
        j->at = n;
        if (jinja_build_str(j, j->out, v))
            return j->e->code;
    }
    return ERR_OK;
}

static enum err_code run_if(struct jinja *j, const struct jinja_node *n)
{
    for (;;) {
        struct jinja_value test = {0};
        if (jinja_eval(j, n->branch.test, &test))
            return j->e->code;
        if (jinja_truth(test))
            return jinja_run(j, &n->branch.yes);
        bool is_elif = n->branch.no.count == 1 && n->branch.no.items[0]->kind == JINJA_N_IF;
        if (!is_elif)
            return jinja_run(j, &n->branch.no);
        n = n->branch.no.items[0];
    }
}

/* Filters over a captured text: applied from the innermost, which stands on the text itself. */
static enum err_code apply_all(struct jinja *j, const struct jinja_node *filter, struct jinja_value *text)
{
    if (filter->apply.operand && apply_all(j, filter->apply.operand, text))
        return j->e->code;
    return jinja_apply(j, filter, *text, text);
}

static enum err_code run_set(struct jinja *j, const struct jinja_node *n)
{
    struct jinja_value value = {0};
    if (n->kind == JINJA_N_SET) {
        if (jinja_eval(j, n->set.value, &value))
            return j->e->code;
    } else if (capture_scope(j, &n->set.body, &value) ||
               (n->set.value && apply_all(j, n->set.value, &value))) {
        return j->e->code;
    }
    if (j->flow)
        return ERR_OK;
    if (!j->scope && j->frame &&
        jinja_is(value, JINJA_DICT)) /* for i in range(...): set message = messages[i] */
        j->scope = value.origin;
    return jinja_assign(j, n->set.target, value);
}

static enum err_code new_macro(struct jinja *j, const struct jinja_node *n, struct jinja_value *out)
{
    struct jinja_macro *macro = jinja_take(j, 1, sizeof *macro);
    if (!macro)
        return j->e->code;
    *macro = (struct jinja_macro){n, j->frame};
    *out = jinja_make(JINJA_MACRO, 0);
    out->macro = macro;
    return ERR_OK;
}

/* {% call f(...) %}: f gets the body as a macro of the name `caller`. */
static enum err_code run_call_block(struct jinja *j, const struct jinja_node *n)
{
    struct jinja_value caller = {0}, result = {0};
    struct jinja_frame *outer = j->frame;
    if (new_macro(j, n, &caller))
        return j->e->code;
    const struct jinja_node *call = n->macro.call;
    struct jinja_node name = {.kind = JINJA_N_CONST, .offset = n->offset, .value = caller};
    struct jinja_node *extra = &name;
    const char *caller_name = "caller";
    struct jinja_call args = *call->call.args;
    if (args.values.count) { /* the caller after those that are there */
        struct jinja_node **values = jinja_take(j, args.values.count + 1, sizeof(struct jinja_node *));
        const char **names = jinja_take(j, args.values.count + 1, sizeof *names);
        if (!values || !names)
            return j->e->code;
        memcpy(values, args.values.items, args.values.count * sizeof *values);
        memcpy(names, args.names, args.values.count * sizeof *names);
        values[args.values.count] = extra;
        names[args.values.count] = caller_name;
        args.values.items = values;
        args.names = names;
    } else {
        args.values.items = &extra;
        args.names = &caller_name;
    }
    args.values.count++;
    struct jinja_node with_caller = *call;
    with_caller.call.args = &args;
    if (jinja_eval(j, &with_caller, &result))
        return j->e->code;
    j->at = n; /* not the call's copy, which is gone */
    j->frame = outer;
    return jinja_build_str(j, j->out, result);
}

static enum err_code run_with(struct jinja *j, const struct jinja_node *n)
{
    struct jinja_frame *outer = j->frame, *inner = jinja_push_frame(j, outer);
    struct jinja_value value = {0};
    if (!inner)
        return j->e->code;
    for (size_t i = 0; i < n->with.targets.count; i++) {
        if (jinja_eval(j, n->with.values.items[i], &value))
            return j->e->code;
        j->frame = inner;
        if (jinja_assign(j, n->with.targets.items[i], value))
            return j->e->code;
        j->frame = outer;
    }
    j->frame = inner;
    enum err_code code = jinja_run(j, &n->with.body);
    j->frame = outer;
    return code;
}

static enum err_code run_filter_block(struct jinja *j, const struct jinja_node *n)
{
    struct jinja_value text = {0};
    if (capture_scope(j, &n->block.body, &text))
        return j->e->code;
    if (j->flow)
        return ERR_OK;
    return apply_all(j, n->block.filter, &text) ? j->e->code : jinja_build_str(j, j->out, text);
}

/* generation: the marks of what is printed say so. block: as it stands, with the variables of the top alone. */
static enum err_code run_block(struct jinja *j, const struct jinja_node *n)
{
    struct jinja_frame *outer = j->frame;
    bool was = j->generation, is_generation = n->kind == JINJA_N_GENERATION;
    if (!(j->frame = jinja_push_frame(j, is_generation ? outer : NULL)))
        return j->e->code;
    j->generation = was || is_generation;
    enum err_code code = jinja_run(j, &n->block.body);
    j->generation = was;
    j->frame = outer;
    return code;
}

static enum err_code run_statement(struct jinja *j, const struct jinja_node *n)
{
    struct jinja_value macro = {0};
    switch ((enum jinja_node_kind)n->kind) {
    case JINJA_N_TEXT:
        return jinja_build(j, j->out, n->text.bytes, n->text.length, 0);
    case JINJA_N_PRINT:
        return run_print(j, n);
    case JINJA_N_IF:
        return run_if(j, n);
    case JINJA_N_FOR:
        return jinja_run_for(j, n);
    case JINJA_N_SET:
    case JINJA_N_SET_BLOCK:
        return run_set(j, n);
    case JINJA_N_MACRO:
        return new_macro(j, n, &macro) ? j->e->code : jinja_store(j, n->macro.id, macro);
    case JINJA_N_CALL_BLOCK:
        return run_call_block(j, n);
    case JINJA_N_FILTER_BLOCK:
        return run_filter_block(j, n);
    case JINJA_N_WITH:
        return run_with(j, n);
    case JINJA_N_GENERATION:
    case JINJA_N_BLOCK:
        return run_block(j, n);
    case JINJA_N_BREAK:
        j->flow = JINJA_FLOW_BREAK;
        return ERR_OK;
    case JINJA_N_CONTINUE:
        j->flow = JINJA_FLOW_CONTINUE;
        return ERR_OK;
    default:
        return jinja_fail(j, "not a statement");
    }
}

enum err_code jinja_run(struct jinja *j, const struct jinja_nodes *body)
{
    if (jinja_enter(j))
        return j->e->code;
    for (size_t i = 0; i < body->count && !j->flow; i++) {
        j->at = body->items[i];
        if (jinja_spend(j, 1) || run_statement(j, body->items[i]))
            return j->e->code;
    }
    jinja_leave(j);
    return ERR_OK;
}

enum err_code jinja_open(struct jinja **j, struct err *e)
{
    *j = calloc(1, sizeof **j);
    if (!*j)
        return err_set(e, ERR_MEMORY, "no memory to render templates");
    (*j)->now = (struct tm){.tm_year = 70, .tm_mday = 1, .tm_wday = 4};
    return ERR_OK;
}

void jinja_close(struct jinja *j)
{
    if (!j)
        return;
    jinja_heap_release(&j->heap);
    free(j);
}

void jinja_set_time(struct jinja *j, const struct tm *now)
{
    j->now = *now;
}

void jinja_begin(struct jinja *j, const struct jinja_template *t, struct err *e)
{
    jinja_heap_reset(&j->heap);
    *j = (struct jinja){.heap = j->heap, .now = j->now, .template = t, .e = e};
    e->code = ERR_OK;
    j->output.is_output = true;
    j->out = &j->output;
    j->globals = jinja_take(j, t->name_count, sizeof *j->globals);
    if (j->globals)
        memcpy(j->globals, t->globals, t->name_count * sizeof *j->globals);
}

void jinja_set(struct jinja *j, const char *name, struct jinja_value value)
{
    for (size_t i = 0; j->globals && i < j->template->name_count; i++)
        if (!strcmp(j->template->names[i], name))
            j->globals[i] = value;
}

enum err_code jinja_render(struct jinja *j)
{
    return j->globals ? jinja_run(j, &j->template->body) : j->e->code;
}

struct jinja_output jinja_output(const struct jinja *j)
{
    const struct jinja_builder *b = &j->output;
    if (!b->length)
        return (struct jinja_output){.bytes = ""};
    b->bytes[b->length] = '\0';
    return (struct jinja_output){b->bytes, b->length, b->marks, b->mark_count};
}
