#include "run/best.h"

#include <math.h>
#include <string.h>

bool best_take(struct best *b, uint64_t step, double loss, bool regular, const char hash[FILE_HASH_SIZE])
{
    if (b->seen == step)
        return false;
    if (strcmp(b->hash, hash) != 0)
        best_forget(b);
    memcpy(b->hash, hash, FILE_HASH_SIZE);
    b->seen = step;
    if (!isfinite(loss) || (b->step && loss >= b->loss)) {
        b->worse += regular;
        return false;
    }
    b->step = step;
    b->loss = loss;
    b->worse = 0;
    return true;
}

bool best_is_stale(const struct best *b, uint64_t patience)
{
    return patience > 0 && b->worse >= patience;
}

void best_forget(struct best *b)
{
    b->step = 0;
    b->loss = 0;
}
