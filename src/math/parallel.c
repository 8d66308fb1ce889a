#include "math/parallel.h"

void parallel_each(size_t count, void (*work)(void *context, size_t i), void *context)
{
#pragma omp parallel for schedule(dynamic)
    for (size_t i = 0; i < count; i++)
        work(context, i);
}
