#include "lora_choose.h"

#include <stdio.h>
#include <string.h>

#include "base/regex.h"
#include "base/str.h"

#define NAME_CHARACTERS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_."

/* The path of linear number `slot`; the last is the head. */
static void slot_path(char path[ARCH_PATH_SIZE], const struct arch *a, size_t slot)
{
    arch_module_path(path, a, arch_slot_layer(a, slot), arch_slot_linear(a, slot));
}

static enum err_code refuse_tied_head(const struct arch *a, bool head_chosen, struct err *e)
{
    if (!head_chosen || !a->tied)
        return ERR_OK;
    return err_set(e, ERR_USAGE,
                   "target-modules: %s cannot be adapted: in this model it is tied to the embedding",
                   arch_module(a, arch_head(a))->path);
}

/* What follows the last dot: "q_proj" of "self_attn.q_proj". */
static const char *last_part(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot ? dot + 1 : path;
}

/* With experts, PEFT adapts more than attention: the router and the experts' fused matrices. */
static enum err_code refuse_experts(const struct arch *a, const char *targets, struct err *e)
{
    char path[ARCH_PATH_SIZE], list[ARCH_MODULES * ARCH_PATH_SIZE] = "";
    arch_experts_path(path, a, 0);
    for (size_t i = 0; i < arch_head(a); i++) {
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", i ? "," : "", last_part(arch_module(a, i)->path));
    }
    return err_set(e, ERR_UNSUPPORTED,
                   "target-modules: %s includes the experts of this model (%s) or their router, which are frozen here; "
                   "adapters on attention: --target-modules %s",
                   targets, path, list);
}

static bool path_has_suffix(const char *path, const char *name)
{
    size_t path_length = strlen(path), length = strlen(name);
    if (length > path_length || strcmp(path + path_length - length, name) != 0)
        return false;
    return length == path_length || path[path_length - length - 1] == '.';
}

static enum err_code matches_nothing(const char *what, const struct arch *a, const char *name, struct err *e)
{
    const char *candidates[ARCH_MODULES + 1];
    char list[ARCH_MODULES * ARCH_PATH_SIZE] = "", path[ARCH_PATH_SIZE];
    for (size_t i = 0; i <= arch_head(a); i++) {
        size_t used = strlen(list);
        candidates[i] = last_part(arch_module(a, i)->path);
        if (i < arch_head(a))
            snprintf(list + used, sizeof list - used, "%s%s", i ? ", " : "", candidates[i]);
    }
    const char *nearest = str_nearest(last_part(name), candidates, arch_head(a) + 1);
    if (nearest)
        return err_set(e, ERR_USAGE,
                       "target-modules: %s '%s' matches no linear layer of the model; did you mean %s?", what,
                       name, nearest);
    arch_module_path(path, a, 0, 0);
    return err_set(e, ERR_USAGE,
                   "target-modules: %s '%s' matches no linear layer of the model; they are called %s, with "
                   "paths like %s",
                   what, name, list, path);
}

/* The path of linear number `i` of the experts and their router, which cannot be adapted; false after the last. */
static bool frozen_path(char path[ARCH_NAME_SIZE], const struct arch *a, size_t i)
{
    size_t each = arch_expert_matrices(a), in_layer = a->experts * each + 1;
    size_t layer = i / in_layer, number = i % in_layer;
    if (each == 0 || layer == a->layers)
        return false;
    if (number == 0)
        arch_router_path(path, a, layer);
    else
        arch_expert_path(path, a, layer, (number - 1) / each, (number - 1) % each);
    return true;
}

static bool names_frozen(const struct arch *a, const char *name)
{
    char path[ARCH_NAME_SIZE];
    bool any = false;
    for (size_t i = 0; !any && frozen_path(path, a, i); i++)
        any = path_has_suffix(path, name);
    return any;
}

static enum err_code choose_name(bool *chosen, const struct arch *a, const char *name, struct err *e)
{
    bool any = false;
    for (size_t slot = 0; slot < arch_slots(a); slot++) {
        char path[ARCH_PATH_SIZE];
        slot_path(path, a, slot);
        if (arch_has_slot(a, slot) && path_has_suffix(path, name))
            any = chosen[slot] = true;
    }
    if (names_frozen(a, name))
        return refuse_experts(a, name, e);
    return any ? ERR_OK : matches_nothing("name", a, name, e);
}

static enum err_code choose_names(bool *chosen, const struct arch *a, const char *targets, struct err *e)
{
    char name[256];
    for (const char *at = targets; at; at = strchr(at, ',')) {
        size_t length;
        at = str_list_item(&length, at + (*at == ',' && at > targets));
        if (length == 0)
            return err_set(e, ERR_USAGE, "target-modules: '%s' has an empty name", targets);
        if (length >= sizeof name)
            return err_set(e, ERR_USAGE, "target-modules: a name of %zu characters matches no linear layer",
                           length);
        memcpy(name, at, length);
        name[length] = '\0';
        if (choose_name(chosen, a, name, e))
            return e->code;
    }
    return ERR_OK;
}

static enum err_code choose_pattern(bool *chosen, const struct arch *a, const char *pattern, struct err *e)
{
    struct regex *regex = NULL;
    struct regex_scratch *scratch = NULL;
    bool any = false;
    enum err_code code = regex_open(&regex, pattern, strlen(pattern), REGEX_TEXT, e);
    if (!code)
        code = regex_scratch_open(&scratch, e);
    for (size_t slot = 0; slot < arch_slots(a) && !code; slot++) {
        char path[ARCH_PATH_SIZE];
        if (!arch_has_slot(a, slot))
            continue;
        slot_path(path, a, slot);
        code = regex_full_match(&chosen[slot], regex, scratch, path, strlen(path), e);
        any |= !code && chosen[slot];
    }
    char path[ARCH_NAME_SIZE];
    bool frozen = false;
    for (size_t i = 0; !code && !frozen && frozen_path(path, a, i); i++)
        code = regex_full_match(&frozen, regex, scratch, path, strlen(path), e);
    regex_scratch_close(scratch);
    regex_close(regex);
    if (code)
        return err_wrap(e, "target-modules");
    if (frozen)
        return refuse_experts(a, pattern, e);
    return any ? ERR_OK : matches_nothing("regular expression", a, pattern, e);
}

enum err_code lora_choose(bool *chosen, const struct arch *a, const char *targets, struct err *e)
{
    size_t head = a->layers * arch_head(a);
    if (!targets && arch_has_experts(a))
        return refuse_experts(a, "all-linear", e);
    if (!targets) {
        for (size_t slot = 0; slot < head; slot++)
            chosen[slot] = arch_has_slot(a, slot);
        return ERR_OK;
    }
    bool names = targets[strspn(targets, NAME_CHARACTERS ", ")] == '\0';
    if (names ? choose_names(chosen, a, targets, e) : choose_pattern(chosen, a, targets, e))
        return e->code;
    return refuse_tied_head(a, chosen[head], e);
}
