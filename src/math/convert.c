#include "math/convert.h"

#include <assert.h>
#include <string.h>

#include "math/expand.h"

/* Numbers that are expanded at a time where they do not go straight to their place: whole blocks of all
 * types, and they stay in the nearest cache. */
enum { TILE = 1024 };

/* Where row `row` of the output stands in the input. */
static size_t sorted_row(const struct convert_heads *heads, size_t row)
{
    size_t each = heads->queries / heads->keys, head = row / heads->size;
    size_t key = head / (each + 2), place = head % (each + 2);
    if (place < each)
        head = key * each + place;
    else
        head = heads->queries + (place - each) * heads->keys + key;
    return head * heads->size + row % heads->size;
}

static size_t source_row(const struct convert_matrix *in, size_t row)
{
    if (in->sorted.keys)
        return sorted_row(&in->sorted, row);
    size_t head_size = in->interleaved_head;
    if (head_size == 0)
        return row;
    size_t head = row / head_size, place = row % head_size, half = head_size / 2;
    return head * head_size + 2 * (place % half) + place / half;
}

void convert_from_f32(void *out, enum dtype type, const float *in, size_t count)
{
    assert(type == DTYPE_F32 || type == DTYPE_BF16);
    if (type == DTYPE_F32)
        memcpy(out, in, count * sizeof *in);
    else
        expand_for(cpu_isa_best())->to_bf16(out, in, count);
}

static void convert_tile(const struct expand *x, void *out, enum dtype to, enum dtype from, const void *in,
                         size_t count)
{
    float wide[TILE];
    if (to == DTYPE_F32) {
        x->to_f32(out, from, in, count);
    } else if (from == to) {
        memcpy(out, in, count * sizeof(uint16_t));
    } else {
        x->to_f32(wide, from, in, count);
        x->to_bf16(out, wide, count);
    }
}

static bool to_is_finite(const struct expand *x, const void *numbers, enum dtype type, size_t count)
{
    return type == DTYPE_F32 ? x->finite_f32(numbers, count) : x->finite_bf16(numbers, count);
}

/* One row to out[columns] (NULL: nowhere); whether it is finite, where that is asked for. */
static bool convert_row(const struct expand *x, unsigned char *out, enum dtype to,
                        const struct convert_matrix *in, size_t row, bool check)
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
        convert_tile(x, tile, to, in->type, data + i / from->block_elements * from->block_bytes, count);
        if (check && finite)
            finite = to_is_finite(x, tile, to, count);
    }
    return finite;
}

/* The first of `count` numbers that is not finite, or `count`. */
static size_t first_bad(const struct expand *x, const void *numbers, enum dtype type, size_t count)
{
    size_t size = dtype_info(type)->block_bytes;
    bool finite = to_is_finite(x, numbers, type, count);
    size_t i = finite ? count : 0;
    while (i < count && to_is_finite(x, (const unsigned char *)numbers + i * size, type, 1))
        i++;
    return i;
}

/* Up to TILE rows of a transposed matrix, one of its columns after the other; the first row that is not finite, or
 * `count`. */
static size_t transpose_rows(const struct expand *x, unsigned char *out, enum dtype to, const struct convert_matrix *in,
                             size_t first, size_t count)
{
    size_t from_size = dtype_info(in->type)->block_bytes, size = dtype_info(to)->block_bytes, bad = count;
    _Alignas(64) unsigned char tile[TILE * sizeof(float)];
    for (size_t column = 0; column < in->columns; column++) {
        const unsigned char *data = (const unsigned char *)in->data + (column * in->rows + first) * from_size;
        convert_tile(x, tile, to, in->type, data, count);
        size_t found = first_bad(x, tile, to, count);
        bad = found < bad ? found : bad;
        for (size_t i = 0; i < count && out; i++)
            memcpy(out + (i * in->columns + column) * size, tile + i * size, size);
    }
    return bad;
}

/* The first row that is not finite, or first + count. */
static size_t transpose_all(void *out, enum dtype to, const struct convert_matrix *in, size_t first, size_t count)
{
    const struct expand *x = expand_for(cpu_isa_best());
    size_t bytes = in->columns * dtype_info(to)->block_bytes, bad = first + count;
    assert(dtype_info(in->type)->block_elements == 1 && in->interleaved_head == 0);
    for (size_t done = 0, next; done < count; done += next) {
        next = count - done < TILE ? count - done : TILE;
        size_t found = transpose_rows(x, out ? (unsigned char *)out + done * bytes : NULL, to, in, first + done, next);
        if (found < next && bad == first + count)
            bad = first + done + found;
    }
    return bad;
}

void convert_rows(void *out, enum dtype to, const struct convert_matrix *in, size_t first, size_t count)
{
    size_t bytes = in->columns * dtype_info(to)->block_bytes;
    assert(in->columns % dtype_info(in->type)->block_elements == 0);
    const struct expand *x = expand_for(cpu_isa_best());
    if (in->transposed) {
        transpose_all(out, to, in, first, count);
        return;
    }
    for (size_t i = 0; i < count; i++)
        convert_row(x, (unsigned char *)out + i * bytes, to, in, first + i, false);
}

size_t convert_rows_checked(void *out, enum dtype to, const struct convert_matrix *in, size_t first,
                            size_t count)
{
    size_t bytes = in->columns * dtype_info(to)->block_bytes, bad = first + count;
    assert(in->columns % dtype_info(in->type)->block_elements == 0);
    const struct expand *x = expand_for(cpu_isa_best());
    if (in->transposed)
        return transpose_all(out, to, in, first, count);
    for (size_t i = 0; i < count; i++)
        if (!convert_row(x, out ? (unsigned char *)out + i * bytes : NULL, to, in, first + i, true) &&
            bad == first + count)
            bad = first + i;
    return bad;
}

void convert_put_rows(void *out, enum dtype to, const struct convert_matrix *in, size_t first, size_t count,
                      const void *rows)
{
    const size_t size = dtype_info(to)->block_bytes;
    unsigned char *place = out;
    const unsigned char *from = rows;
    assert(dtype_info(to)->block_elements == 1);
    for (size_t i = 0; i < count; i++)
        if (!in->transposed)
            memcpy(place + source_row(in, first + i) * in->columns * size, from + i * in->columns * size,
                   in->columns * size);
    for (size_t column = 0; column < in->columns && in->transposed; column++)
        for (size_t i = 0; i < count; i++)
            memcpy(place + (column * in->rows + first + i) * size, from + (i * in->columns + column) * size, size);
}

void convert_all(void *out, enum dtype to, const struct convert_matrix *in)
{
    const struct expand *x = expand_for(cpu_isa_best());
    size_t bytes = in->columns * dtype_info(to)->block_bytes;
    if (in->transposed) {
#pragma omp parallel for schedule(static)
        for (size_t row = 0; row < in->rows; row += TILE)
            transpose_all((unsigned char *)out + row * bytes, to, in, row,
                          in->rows - row < TILE ? in->rows - row : TILE);
        return;
    }
#pragma omp parallel for schedule(static)
    for (size_t row = 0; row < in->rows; row++)
        convert_row(x, (unsigned char *)out + row * bytes, to, in, row, false);
}

bool convert_is_copy(enum dtype to, const struct convert_matrix *in)
{
    return in->type == to && in->interleaved_head == 0 && in->sorted.keys == 0 && !in->transposed;
}
