#include "model/family.h"

/* transformers 5 has the decoder in model.language_model; files of transformers 4 call it language_model. */
#define LANGUAGE_MODEL                                                                                       \
    {                                                                                                        \
        {"model.language_model", ""}, {"language_model.model", "language_model."}                            \
    }

static const char *const vision[] = {"model.vision_tower.", "model.multi_modal_projector.", "vision_tower.",
                                     "multi_modal_projector.", NULL};

static const char *const gemma4[] = {"model.vision_tower.", "model.embed_vision.", "model.audio_tower.",
                                     "model.embed_audio.", NULL};

static const char *const gemma4_unified[] = {"model.vision_embedder.", "model.embed_vision.", "model.embed_audio.",
                                             NULL};

const struct wrapper wrappers[] = {
    {"gemma3", "gemma3_text", LANGUAGE_MODEL, vision, NULL},
    {"gemma4", "gemma4_text", LANGUAGE_MODEL, gemma4, NULL},
    {"gemma4_unified", "gemma4_unified_text", LANGUAGE_MODEL, gemma4_unified, NULL},
    {"mistral3", "mistral", LANGUAGE_MODEL, vision, "mistral3"},
    {NULL, NULL, {{NULL, NULL}}, NULL, NULL},
};
