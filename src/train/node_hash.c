#include "train/node_hash.h"

#include <string.h>

enum err_code node_hash(char hash[FILE_HASH_SIZE], const char files[FILE_HASH_SIZE], node_hash_take *take,
                        void *from, struct dist *d, struct dist *node, struct err *e)
{
    struct card {
        char files[FILE_HASH_SIZE], hash[FILE_HASH_SIZE];
    } first = {0};
    memcpy(first.files, files, sizeof first.files);
    enum err_code code = dist_agree(d, node->rank == 0 ? take(first.hash, from, e) : ERR_OK, e);
    if (code)
        return code;
    code = dist_broadcast(node, &first, sizeof first, 0, e);
    if (!code && strcmp(first.files, files) == 0)
        memcpy(hash, first.hash, sizeof first.hash);
    else if (!code)
        code = take(hash, from, e);
    return dist_agree(d, code, e);
}
