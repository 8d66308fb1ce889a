#include "run/length.h"

#include <math.h>

#include "data/examples/batcher.h"

uint64_t length_steps(const struct length *l, double epochs_given, int64_t max_steps)
{
    uint64_t count = l->examples, size = l->batch_size, each = batcher_batches(count, size);
    uint64_t left = count - l->cursor % count;
    uint64_t passed = l->cursor / count * each + each - batcher_batches(left, size);
    double epochs = epochs_given > 0 ? epochs_given : max_steps > 0 ? INFINITY : 1;
    /* Less than a millionth of a batch is rounding of the decimal fraction. */
    double by_epochs = ceil(epochs * (double)each - 1e-6);
    uint64_t whole = by_epochs < 1 ? 1 : by_epochs > 1e15 ? (uint64_t)1e15 : (uint64_t)by_epochs;
    uint64_t steps = l->step + (whole > passed ? whole - passed : 0);
    return max_steps > 0 && (uint64_t)max_steps < steps ? (uint64_t)max_steps : steps;
}
