#include "base/stop.h"
#include "data/examples/dataset.h"

enum { CHUNK = 65536 }; /* bytes that are read at a time */

enum err_code dataset_hash(char hash[FILE_HASH_SIZE], const struct dataset *d, struct err *e)
{
    struct file_hasher *h = file_hasher_open(e);
    if (!h)
        return e->code;
    enum err_code code = ERR_OK;
    for (size_t f = 0; f < d->path_count && !code; f++) {
        /* The size keeps "a" "bc" and "ab" "c" apart. */
        uint64_t size = d->files[f].size;
        unsigned char bytes[8];
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (unsigned char)(size >> (8 * i));
        file_hasher_add(h, bytes, sizeof bytes);
        for (uint64_t at = 0; at < size && !code; at += CHUNK) {
            unsigned char chunk[CHUNK];
            size_t length = size - at < CHUNK ? (size_t)(size - at) : CHUNK;
            code = stop_check("the data was read", e);
            if (!code)
                code = file_in_read(chunk, &d->files[f], at, length, e);
            if (!code)
                file_hasher_add(h, chunk, length);
        }
    }
    file_hasher_finish(h, hash);
    return code;
}
