#include "math/convert.h"

#include <assert.h>

#include "math/kern.h"

/* Where row `row` of the output stands in the input. */
static size_t source_row(const struct convert_matrix *in, size_t row)
{
    size_t head_size = in->interleaved_head;
    if (head_size == 0)
        return row;
    size_t head = row / head_size, place = row % head_size, half = head_size / 2;
    return head * head_size + 2 * (place % half) + place / half;
}

size_t convert_to_f32(float *out, const struct convert_matrix *in)
{
    const struct dtype_info *info = dtype_info(in->type);
    size_t row_bytes = in->columns / info->block_elements * info->block_bytes;
    size_t bad = in->rows;
    assert(in->columns % info->block_elements == 0);
#pragma omp parallel for schedule(static) reduction(min : bad)
    for (size_t row = 0; row < in->rows; row++) {
        float *to = out + row * in->columns;
        dtype_to_f32(to, in->type, (const char *)in->data + source_row(in, row) * row_bytes, in->columns);
        if (row < bad && kern_first_nonfinite(to, in->columns) < in->columns)
            bad = row;
    }
    return bad;
}
