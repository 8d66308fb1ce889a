#include "ranks/node_hash.h"

#include <string.h>

enum err_code node_hash(char hash[FILE_HASH_SIZE], struct file_hasher *files, node_hash_take *take,
                        void *from, struct dist *d, struct dist *node, struct err *e)
{
    struct card {
        char files[FILE_HASH_SIZE], hash[FILE_HASH_SIZE];
    } mine = {0}, first;
    enum err_code code = files ? ERR_OK : e->code;
    if (files)
        file_hasher_finish(files, mine.files);
    if (!code && node->rank == 0)
        code = take(mine.hash, from, e);
    code = dist_agree(d, code, e);
    if (code)
        return code;
    first = mine;
    code = dist_broadcast(node, &first, sizeof first, 0, e);
    if (!code && strcmp(first.files, mine.files) == 0)
        memcpy(hash, first.hash, sizeof first.hash);
    else if (!code)
        code = take(hash, from, e);
    return dist_agree(d, code, e);
}
