/*
 * The path of a module's group in the HDF5 files of this program. A module's path is split after its first number,
 * so that each layer is a group and no group has many members:
 *
 *     model.layers.0.self_attn.q_proj    /adapter/model.layers.0/self_attn.q_proj
 *     transformer.h.11.attn.c_attn       /adapter/transformer.h.11/attn.c_attn
 *     lm_head                            /adapter/lm_head
 */
#ifndef MPILORA_RUN_MODULE_GROUP_H
#define MPILORA_RUN_MODULE_GROUP_H

#include "base/arena.h"
#include "base/err.h"
#include "io/h5/h5.h"
#include "model/arch.h"

#define MODULE_GROUP_SIZE (ARCH_PATH_SIZE + 64)

/* "<root>/<layer>/<rest>/<name>"; `name` may be NULL. A module's path is shorter than ARCH_PATH_SIZE. */
void module_group_path(char path[MODULE_GROUP_SIZE], const char *root, const char *module, const char *name);

/* Lists the modules under `root` that have a member `name` ("lora_A"); memory from `a`. ERR_FORMAT if a module is
 * not in its proper group. */
enum err_code module_group_list(const char ***modules, size_t *count, struct h5_reader *r, const char *root,
                                const char *name, struct arena *a, struct err *e);

#endif
