/*
 * The bytes of a checkpoint, as somebody changes them who makes a file for an attack: after each change the
 * checksums of HDF5's metadata are put right again. One in eight is left as chance would damage it.
 */
#include "fuzz.h"

#include "h5_mend.h"
#include "run/ckpt.h"

enum err_code fuzz_read(const char *bytes, size_t size, struct err *e)
{
    struct ckpt c;
    struct trace_record trace;
    fuzz_put("step.h5", bytes, size);
    if (ckpt_open(&c, fuzz_path("step.h5"), e))
        return e->code;
    if (!trace_read_from(&trace, c.file, e))
        trace_release(&trace);
    ckpt_close(&c);
    return ERR_OK;
}

#ifdef MPILORA_FUZZ
size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t size, size_t room, unsigned seed)
{
    struct h5_blocks blocks = {0};
    if (seed % 8 != 0)
        h5_find_blocks(&blocks, bytes, size); /* before the change, which breaks what names them */
    if (!blocks.count)
        return LLVMFuzzerMutate(bytes, size, room);
    const struct h5_block *block = &blocks.items[seed / 8 % blocks.count];
    LLVMFuzzerMutate(bytes + block->begin, block->size, block->size); /* shorter ones leave the old end */
    h5_mend_blocks(&blocks, bytes);
    return size;
}
#endif
