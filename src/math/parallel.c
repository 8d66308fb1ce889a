#include "math/parallel.h"

#include <omp.h>
#include <sched.h>

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

size_t parallel_places(int *processors, size_t capacity)
{
    size_t count = 0;
    int places = omp_get_num_places();
    for (int place = 0; place < places; place++) {
        int size = omp_get_place_num_procs(place);
        if (size < 1 || (size_t)size > capacity - count)
            break;
        omp_get_place_proc_ids(place, processors + count);
        count += (size_t)size;
    }
    return count;
}

void parallel_roam(void)
{
    int processors[CPU_SETSIZE];
    cpu_set_t set;
    CPU_ZERO(&set);
    size_t count = parallel_places(processors, CPU_SETSIZE);
    for (size_t i = 0; i < count; i++)
        if (processors[i] < CPU_SETSIZE)
            CPU_SET((size_t)processors[i], &set);
    if (count > 0)
        sched_setaffinity(0, sizeof set, &set); /* as well as it goes */
}
