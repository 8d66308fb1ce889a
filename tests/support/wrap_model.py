#!/usr/bin/env python3
"""Makes of a Hugging Face folder one whose decoder is a part beside a tower of vision, as Mistral 3's wrapper has it.

    wrap_model.py FROM TO [old]     old: the names of tensors of transformers 4

Standard library only. The tower's numbers are no numbers (NaN): who reads them finds that out.
"""

import json
import pathlib
import shutil
import struct
import sys

source, target = map(pathlib.Path, sys.argv[1:3])
old = sys.argv[3:] == ["old"]
LANGUAGE, TOWER = ("language_model.model.", "vision_tower.") if old else ("model.language_model.", "model.vision_tower.")
NAN = struct.pack("<4f", *[float("nan")] * 4)

shutil.copytree(source, target)
config = json.loads((source / "config.json").read_text())
wrapped = {"model_type": "mistral3", "architectures": ["Mistral3ForConditionalGeneration"], "text_config": config,
           "vision_config": {"model_type": "pixtral"}, "tie_word_embeddings": config["tie_word_embeddings"],
           "eos_token_id": config["eos_token_id"]}
(target / "config.json").write_text(json.dumps(wrapped))
data = (source / "model.safetensors").read_bytes()
(length,) = struct.unpack_from("<Q", data)
header, data = json.loads(data[8:8 + length]), data[8 + length:]
header = {name.replace("model.", LANGUAGE, 1): entry for name, entry in header.items()}
header[TOWER + "patch_conv.weight"] = {"dtype": "F32", "shape": [2, 2], "data_offsets": [len(data), len(data) + len(NAN)]}
text = json.dumps(header).encode()
text += b" " * (-len(text) % 8)
(target / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data + NAN)
