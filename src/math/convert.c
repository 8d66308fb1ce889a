#include "math/convert.h"

#include <assert.h>
#include <string.h>

#include "math/kern.h"

/* Numbers that are expanded at a time where they do not go straight to their place: whole blocks of all
 * types, and they stay in the nearest cache. */
enum { TILE = 1024 };

/* Where row `row` of the output stands in the input. */
static size_t source_row(const struct convert_matrix *in, size_t row)
{
    size_t head_size = in->interleaved_head;
    if (head_size == 0)
        return row;
    size_t head = row / head_size, place = row % head_size, half = head_size / 2;
    return head * head_size + 2 * (place % half) + place / half;
}

void convert_from_f32(void *out, enum dtype type, const float *in, size_t count)
{
    assert(type == DTYPE_F32 || type == DTYPE_BF16);
    if (type == DTYPE_F32) {
        memcpy(out, in, count * sizeof *in);
        return;
    }
    uint16_t *to = out;
    for (size_t i = 0; i < count; i++)
        to[i] = dtype_f32_to_bf16(in[i]);
}

static void convert_tile(void *out, enum dtype to, enum dtype from, const void *in, size_t count)
{
    float wide[TILE];
    if (to == DTYPE_F32) {
        dtype_to_f32(out, from, in, count);
    } else if (from == to) {
        memcpy(out, in, count * sizeof(uint16_t));
    } else {
        dtype_to_f32(wide, from, in, count);
        convert_from_f32(out, to, wide, count);
    }
}

static bool is_finite(enum dtype type, const void *in, size_t count)
{
    if (type == DTYPE_F32)
        return kern_first_nonfinite(in, count) == count;
    const uint16_t *bits = in;
    uint16_t bad = 0;
    for (size_t i = 0; i < count; i++)
        bad |= (uint16_t)((bits[i] & 0x7f80) == 0x7f80);
    return !bad;
}

/* One row to out[columns] (NULL: nowhere); whether it is finite, where that is asked for. */
static bool convert_row(unsigned char *out, enum dtype to, const struct convert_matrix *in, size_t row,
                        bool check)
{
    const struct dtype_info *from = dtype_info(in->type);
    size_t size = dtype_info(to)->block_bytes;
    size_t row_bytes = in->columns / from->block_elements * from->block_bytes;
    const unsigned char *data = (const unsigned char *)in->data + source_row(in, row) * row_bytes;
    _Alignas(64) unsigned char nowhere[TILE * sizeof(float)];
    bool finite = true;
    for (size_t i = 0; i < in->columns; i += TILE) {
        size_t count = in->columns - i < TILE ? in->columns - i : TILE;
        unsigned char *tile = out ? out + i * size : nowhere;
        convert_tile(tile, to, in->type, data + i / from->block_elements * from->block_bytes, count);
        if (check && finite)
            finite = is_finite(to, tile, count);
    }
    return finite;
}

void convert_rows(void *out, enum dtype to, const struct convert_matrix *in, size_t first, size_t count)
{
    size_t bytes = in->columns * dtype_info(to)->block_bytes;
    assert(in->columns % dtype_info(in->type)->block_elements == 0);
    for (size_t i = 0; i < count; i++)
        convert_row((unsigned char *)out + i * bytes, to, in, first + i, false);
}

size_t convert_rows_checked(void *out, enum dtype to, const struct convert_matrix *in, size_t first,
                            size_t count)
{
    size_t bytes = in->columns * dtype_info(to)->block_bytes, bad = first + count;
    assert(in->columns % dtype_info(in->type)->block_elements == 0);
    for (size_t i = 0; i < count; i++)
        if (!convert_row(out ? (unsigned char *)out + i * bytes : NULL, to, in, first + i, true) &&
            bad == first + count)
            bad = first + i;
    return bad;
}

void convert_all(void *out, enum dtype to, const struct convert_matrix *in)
{
    size_t bytes = in->columns * dtype_info(to)->block_bytes;
#pragma omp parallel for schedule(static)
    for (size_t row = 0; row < in->rows; row++)
        convert_rows((unsigned char *)out + row * bytes, to, in, row, 1);
}

bool convert_is_copy(enum dtype to, const struct convert_matrix *in)
{
    return in->type == to && in->interleaved_head == 0;
}
