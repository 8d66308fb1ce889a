/* for loops, and what they say of themselves. */
#include "eval.h"

/* The next item that passes `for ... if`, without going on to it. */
static enum err_code find_next(struct jinja *j, struct jinja_loop *loop, struct jinja_value *item, bool *more)
{
    const struct jinja_node *n = loop->node;
    while (loop->next < loop->count) {
        *item = loop->items[loop->next++];
        *more = true;
        if (!loop->filtered)
            return ERR_OK;
        struct jinja_value passes = {0};
        struct jinja_frame *here = j->frame;
        if (!(j->frame = jinja_push_frame(j, loop->outer)))
            return j->e->code;
        if (jinja_assign(j, n->loop.target, *item) || jinja_eval(j, n->loop.test, &passes))
            return j->e->code;
        j->frame = here;
        if (jinja_truth(passes))
            return ERR_OK;
    }
    *more = false;
    return ERR_OK;
}

static enum err_code peek(struct jinja *j, struct jinja_loop *loop, bool *more)
{
    if (loop->has_after) {
        *more = true;
        return ERR_OK;
    }
    if (find_next(j, loop, &loop->after, more))
        return j->e->code;
    loop->has_after = *more;
    return ERR_OK;
}

static enum err_code advance(struct jinja *j, struct jinja_loop *loop, bool *more)
{
    struct jinja_value item = {0};
    if (loop->has_after) {
        item = loop->after;
        loop->has_after = false;
        *more = true;
    } else if (find_next(j, loop, &item, more)) {
        return j->e->code;
    }
    if (*more) {
        loop->index++;
        loop->before = loop->current;
        loop->current = item;
    }
    return ERR_OK;
}

/* The number of passes; what is left is filtered now to know it. */
static enum err_code count_passes(struct jinja *j, struct jinja_loop *loop, size_t *out)
{
    if (loop->filtered) {
        struct jinja_value rest = {0}, item = {0};
        bool more;
        if (jinja_new_list(j, &rest, 0))
            return j->e->code;
        for (;;) {
            if (find_next(j, loop, &item, &more))
                return j->e->code;
            if (!more)
                break;
            if (jinja_list_add(j, rest.list, item))
                return j->e->code;
        }
        loop->items = rest.list->items;
        loop->count = rest.list->count;
        loop->next = 0;
        loop->filtered = false;
    }
    *out = loop->index + loop->has_after + loop->count - loop->next;
    return ERR_OK;
}

/* loop.cycle and loop.changed: methods whose self is the loop. */
static enum err_code call_cycle(struct jinja *j, const struct jinja_value *a, const struct jinja_args *args,
                                struct jinja_value *out)
{
    (void)a;
    if (args->count < 2)
        return jinja_fail(j, "no items for cycling given");
    *out = args->items[1 + (args->items[0].loop->index - 1) % (args->count - 1)];
    return ERR_OK;
}

static enum err_code call_changed(struct jinja *j, const struct jinja_value *a, const struct jinja_args *args,
                                  struct jinja_value *out)
{
    (void)a;
    struct jinja_loop *loop = args->items[0].loop;
    struct jinja_value now = {0};
    bool same = false;
    if (jinja_new_tuple(j, &now, args->count))
        return j->e->code;
    for (size_t i = 1; i < args->count; i++)
        now.list->items[now.list->count++] = args->items[i];
    if (loop->has_changed && jinja_equal(j, loop->changed, now, &same))
        return j->e->code;
    loop->has_changed = true;
    loop->changed = now;
    *out = jinja_bool(!same);
    return ERR_OK;
}

static enum err_code loop_method(struct jinja *j, struct jinja_loop *loop, bool is_cycle,
                                 struct jinja_value *out)
{
    static const struct jinja_function cycle = {"cycle", NULL, 0, call_cycle},
                                       changed = {"changed", NULL, 0, call_changed};
    struct jinja_method *method = jinja_take(j, 1, sizeof *method);
    if (!method)
        return j->e->code;
    method->self = jinja_make(JINJA_LOOP, 0);
    method->self.loop = loop;
    method->function = is_cycle ? &cycle : &changed;
    *out = jinja_make(JINJA_METHOD, 0);
    out->method = method;
    return ERR_OK;
}

enum err_code jinja_loop_attribute(struct jinja *j, struct jinja_loop *loop, const char *name, size_t length,
                                   struct jinja_value *out)
{
    enum {
        INDEX,
        INDEX0,
        REVINDEX,
        REVINDEX0,
        FIRST,
        LAST,
        LENGTH,
        DEPTH,
        DEPTH0,
        PREVITEM,
        NEXTITEM,
        CYCLE,
        CHANGED,
        NONE
    };
    static const char *const names[] = {"index",    "index0", "revindex", "revindex0", "first",
                                        "last",     "length", "depth",    "depth0",    "previtem",
                                        "nextitem", "cycle",  "changed"};
    int which = 0;
    size_t passes = 0;
    bool more = false;
    while (which < NONE && (strlen(names[which]) != length || memcmp(names[which], name, length) != 0))
        which++;
    if ((which == REVINDEX || which == REVINDEX0 || which == LENGTH) && count_passes(j, loop, &passes))
        return j->e->code;
    if ((which == LAST || which == NEXTITEM) && peek(j, loop, &more))
        return j->e->code;
    switch (which) {
    case INDEX:
        *out = jinja_int((int64_t)loop->index);
        break;
    case INDEX0:
        *out = jinja_int((int64_t)loop->index - 1);
        break;
    case REVINDEX:
        *out = jinja_int((int64_t)(passes - loop->index) + 1);
        break;
    case REVINDEX0:
        *out = jinja_int((int64_t)(passes - loop->index));
        break;
    case FIRST:
        *out = jinja_bool(loop->index == 1);
        break;
    case LAST:
        *out = jinja_bool(!more);
        break;
    case LENGTH:
        *out = jinja_int((int64_t)passes);
        break;
    case DEPTH:
    case DEPTH0:
        *out = jinja_int(loop->depth + (which == DEPTH));
        break;
    case PREVITEM:
        *out = loop->before;
        return loop->index == 1 ? jinja_undefined(j, out, "there is no previous item") : ERR_OK;
    case NEXTITEM:
        *out = loop->after;
        return more ? ERR_OK : jinja_undefined(j, out, "there is no next item");
    case CYCLE:
    case CHANGED:
        return loop_method(j, loop, which == CYCLE, out);
    default:
        *out = jinja_make(JINJA_MISSING, 0);
    }
    return ERR_OK;
}

/* The scope of a pass: the origin of the item, if it has one, else that of the loop around. */
static void enter_scope(struct jinja *j, struct jinja_value item)
{
    if (item.origin && !jinja_is(item, JINJA_UNDEFINED))
        j->scope = item.origin;
}

static enum err_code run_passes(struct jinja *j, struct jinja_loop *loop)
{
    const struct jinja_node *n = loop->node;
    uint32_t scope = j->scope;
    struct jinja_value self = jinja_make(JINJA_LOOP, 0);
    bool more, completed = false; /* else: no pass came to the end of its body, as jinja2 has it */
    self.loop = loop;
    for (;;) {
        j->at = n;
        if (advance(j, loop, &more))
            return j->e->code;
        if (!more)
            break;
        loop->frame->count = 0;
        j->frame = loop->frame;
        enter_scope(j, loop->current);
        if (jinja_store(j, j->template->loop_name, self) || jinja_assign(j, n->loop.target, loop->current) ||
            jinja_run(j, &n->loop.body))
            return j->e->code;
        j->frame = loop->outer;
        j->scope = scope;
        enum jinja_flow flow = j->flow;
        j->flow = JINJA_FLOW_ON;
        if (flow == JINJA_FLOW_BREAK)
            break;
        completed |= flow == JINJA_FLOW_ON;
    }
    if (completed || !n->loop.otherwise.count)
        return ERR_OK;
    if (!(j->frame = jinja_push_frame(j, loop->outer)))
        return j->e->code;
    enum err_code code = jinja_run(j, &n->loop.otherwise);
    j->frame = loop->outer;
    return code;
}

static enum err_code run_loop(struct jinja *j, const struct jinja_node *n, struct jinja_frame *outer,
                              struct jinja_value iterable, int depth)
{
    struct jinja_loop *loop = jinja_take(j, 1, sizeof *loop);
    struct jinja_value list = iterable;
    if (!loop)
        return j->e->code;
    *loop = (struct jinja_loop){.node = n, .outer = outer, .depth = depth, .filtered = n->loop.test != NULL};
    if (!jinja_is(list, JINJA_LIST) && !jinja_is(list, JINJA_TUPLE) && jinja_to_list(j, iterable, &list))
        return j->e->code;
    loop->items = list.list->items;
    loop->count = list.list->count;
    if (!(loop->frame = jinja_push_frame(j, outer)))
        return j->e->code;
    return run_passes(j, loop);
}

enum err_code jinja_run_for(struct jinja *j, const struct jinja_node *n)
{
    struct jinja_value iterable = {0};
    if (jinja_eval(j, n->loop.iterable, &iterable))
        return j->e->code;
    j->at = n;
    return run_loop(j, n, j->frame, iterable, 0);
}

enum err_code jinja_loop_call(struct jinja *j, struct jinja_loop *loop, struct jinja_value iterable,
                              struct jinja_value *out)
{
    struct jinja_builder b = {.is_output = true}, *outer = j->out;
    struct jinja_frame *frame = j->frame;
    if (!loop->node->loop.recursive)
        return jinja_fail(j, "the loop must have the 'recursive' marker to be called recursively");
    if (++j->macros > LIMIT_TEMPLATE_MACROS)
        return jinja_fail(j, "more than %d macros inside of each other", LIMIT_TEMPLATE_MACROS);
    j->out = &b;
    if (run_loop(j, loop->node, loop->outer, iterable, loop->depth + 1))
        return j->e->code;
    j->out = outer;
    j->frame = frame;
    j->macros--;
    return jinja_build_end(j, &b, out);
}
