#include "quant_blocks.h"

void dtype_to_f32(float *out, enum dtype type, const void *in, size_t count)
{
    quant_to_f32(out, type, in, count);
}
