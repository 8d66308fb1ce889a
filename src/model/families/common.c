#include "common.h"

const struct family_module llama_like_modules[LLAMA_LIKE_MODULES + 1] = {
    {"self_attn.q_proj", "attn_q", GROUP_ATTN_IN, ROWS_QUERIES, GGUF_PAIRED},
    {"self_attn.k_proj", "attn_k", GROUP_ATTN_IN, ROWS_KEYS, GGUF_PAIRED},
    {"self_attn.v_proj", "attn_v", GROUP_ATTN_IN, ROWS_KEYS, STORED_PLAIN},
    {"self_attn.o_proj", "attn_output", GROUP_ATTN_OUT, ROWS_WIDTH, STORED_PLAIN},
    {"mlp.gate_proj", "ffn_gate", GROUP_MLP_IN, ROWS_FFN, STORED_PLAIN},
    {"mlp.up_proj", "ffn_up", GROUP_MLP_IN, ROWS_FFN, STORED_PLAIN},
    {"mlp.down_proj", "ffn_down", GROUP_MLP_OUT, ROWS_WIDTH, STORED_PLAIN},
    {"lm_head", "output", GROUP_HEAD, ROWS_VOCAB, STORED_PLAIN},
};
