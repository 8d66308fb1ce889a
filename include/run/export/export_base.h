/*
 * The base that an exported adapter is for, as its files say it: a PEFT folder in adapter_config.json and in the
 * __metadata__ of its tensors, a GGUF adapter in its keys. The hash has the same key in both.
 */
#ifndef MPILORA_RUN_EXPORT_EXPORT_BASE_H
#define MPILORA_RUN_EXPORT_EXPORT_BASE_H

#define EXPORT_BASE_HASH "mpilora.base_hash"

struct export_base {
    const char *name; /* under which people know it; of an adapter that was read NULL: not said */
    const char *hash; /* its content hash (store_hash()); NULL: not said, as in adapters of other programs */
};

#endif
