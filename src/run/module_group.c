#include "run/module_group.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Length of the path up to its first number, if something follows that; else of all of it. */
static size_t layer_length(const char *module)
{
    for (const char *at = module; *at;) {
        size_t part = strcspn(at, ".");
        if (at[part] && part && strspn(at, "0123456789") == part)
            return (size_t)(at - module) + part;
        at += part + (at[part] == '.');
    }
    return strlen(module);
}

void module_group_path(char path[MODULE_GROUP_SIZE], const char *root, const char *module, const char *name)
{
    size_t layer = layer_length(module);
    int length = snprintf(path, MODULE_GROUP_SIZE, "%s/%.*s%s%s%s%s", root, (int)layer, module,
                          module[layer] ? "/" : "", module[layer] ? module + layer + 1 : "", name ? "/" : "",
                          name ? name : "");
    assert(length < MODULE_GROUP_SIZE);
    (void)length;
}

enum err_code module_group_list(const char ***modules, size_t *count, struct h5_reader *r, const char *root,
                                const char *name, struct arena *a, struct err *e)
{
    if (h5_list_groups(modules, count, r, root, name, a, e))
        return e->code;
    for (size_t i = 0; i < *count; i++) {
        char path[MODULE_GROUP_SIZE] = "";
        const char *group = (*modules)[i];
        char *module = arena_strndup(a, group + strlen(root) + 1, strlen(group) - strlen(root) - 1, e);
        if (!module)
            return e->code;
        for (char *at = module; *at; at++)
            *at = (char)(*at == '/' ? '.' : *at);
        if (strlen(module) < ARCH_PATH_SIZE)
            module_group_path(path, root, module, NULL);
        if (strcmp(path, group) != 0)
            return err_set(e, ERR_FORMAT, "the group %.80s has a %s, but is not the place of a module", group,
                           name);
        (*modules)[i] = module;
    }
    return ERR_OK;
}
