#include "math/parallel.h"

void parallel_each(size_t count, void (*work)(void *context, size_t i), void *context)
{
#pragma omp parallel for schedule(dynamic)
    for (size_t i = 0; i < count; i++)
        work(context, i);
}

void parallel_blocks(size_t n, size_t block, void (*work)(void *context, size_t first, size_t count),
                     void *context)
{
    if (n <= block) {
        work(context, 0, n);
        return;
    }
#pragma omp parallel for schedule(static)
    for (size_t first = 0; first < n; first += block)
        work(context, first, n - first < block ? n - first : block);
}
