/*
 * Writes and reads LoRA adapters as llama.cpp has them: one GGUF file with general.type "adapter", whose tensors
 * NAME.lora_a [rank, in] and NAME.lora_b [out, rank] belong to the tensors NAME of a model's GGUF file, with the rows
 * of B in the order of that file. Source: llama.cpp's src/llama-adapter.cpp and convert_lora_to_gguf.py.
 *
 * llama.cpp scales each product B A x by adapter.lora.alpha / rank, with one alpha for all modules.
 */
#ifndef MPILORA_RUN_EXPORT_GGUF_ADAPTER_H
#define MPILORA_RUN_EXPORT_GGUF_ADAPTER_H

#include <stdbool.h>

#include "base/err.h"
#include "model/lora.h"
#include "run/export/export_notes.h"

/* Writes the file atomically; its folder is created if needed. The base's name is written as
 * general.name, its hash under a key of ours, which llama.cpp passes over. What one alpha does
 * not express is multiplied into B: scalings that differ between modules, and those of rsLoRA. A part that was
 * subtracted from the base (l->start) is added, as in peft_write(). ERR_UNSUPPORTED if it is not known how llama.cpp
 * names the tensors of such a model, ERR_USAGE if `path` is a folder. */
enum err_code gguf_adapter_write(const char *path, const struct lora *l, const struct arch *a,
                                 const struct export_notes *notes, struct err *e);

/* Makes `l` from a GGUF file. Tensors may have any type that a model's may have. ERR_MISMATCH if it is an adapter for
 * another architecture, or has a shape that the model does not have; ERR_USAGE for a model instead of an adapter;
 * ERR_UNSUPPORTED for what is no plain LoRA of linear layers (token embeddings, norms, activated LoRA). `of` (may
 * be NULL) gets what the file says of its base, in the memory of `l`; llama.cpp's own converter writes no hash.
 * lora_release(). */
enum err_code gguf_adapter_read(struct lora *l, const struct arch *a, const char *path, struct export_notes *of,
                                struct err *e);

/* Is it a GGUF file that calls itself an adapter? */
bool gguf_adapter_is(const char *path);

#endif
