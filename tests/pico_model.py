"""A model of a few thousand weights in Hugging Face's layout, made in a moment: it babbles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

TEXT = [
    "The teller of tales recites what was heard, and what was heard is told again.",
    "def recite(tale: str) -> str:\n    return tale\n",
    "語り部は聞いたことを語り、語られたことはまた語られる。",
    "0 1 2 3 4 5 6 7 8 9 10",
]
SPECIALS = ["<|end|>", "<|start|>"]
TEMPLATE = (
    "{% for message in messages %}<|start|>{{ message.role }}\n{{ message.content }}<|end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|start|>assistant\n{% endif %}"
)
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "hidden_act": "silu",
    "tie_word_embeddings": True,
    "attention_bias": False,
    "mlp_bias": False,
    "eos_token_id": 0,
    "bos_token_id": 1,
    "torch_dtype": "float32",
}
NATIVE = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 32}
"""Changes to `CONFIG` that make heads as wide as the native runner takes them."""


def build(folder: Path, seed: int = 20, changes: dict[str, Any] | None = None) -> Path:
    """Writes the model into `folder` and returns it; `changes` to its settings."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer()
    tokenizer.save(str(folder / "tokenizer.json"))
    names = dict(zip(("eos_token", "bos_token"), SPECIALS, strict=True))
    about = {**names, "chat_template": TEMPLATE, "tokenizer_class": "PreTrainedTokenizerFast"}
    (folder / "tokenizer_config.json").write_text(json.dumps(about), encoding="utf-8")
    config = {**CONFIG, "vocab_size": tokenizer.get_vocab_size(), **(changes or {})}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    save_file(_weights(config, seed), folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def _tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=SPECIALS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    return tokenizer


def _weights(config: dict, seed: int) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    hidden, middle = config["hidden_size"], config["intermediate_size"]
    keys = config["num_key_value_heads"] * config["head_dim"]

    def matrix(rows: int, columns: int) -> np.ndarray:
        return (draw.standard_normal((rows, columns)) * 1.5 / columns**0.5).astype(np.float32)

    weights = {
        "model.embed_tokens.weight": matrix(config["vocab_size"], hidden),
        "model.norm.weight": np.ones(hidden, np.float32),
    }
    for layer in range(config["num_hidden_layers"]):
        shapes = {
            "self_attn.q_proj": (hidden, hidden),
            "self_attn.k_proj": (keys, hidden),
            "self_attn.v_proj": (keys, hidden),
            "self_attn.o_proj": (hidden, hidden),
            "mlp.gate_proj": (middle, hidden),
            "mlp.up_proj": (middle, hidden),
            "mlp.down_proj": (hidden, middle),
        }
        name = f"model.layers.{layer}"
        weights |= {f"{name}.{part}.weight": matrix(*shape) for part, shape in shapes.items()}
        for norm in ("input_layernorm", "post_attention_layernorm"):
            weights[f"{name}.{norm}.weight"] = np.ones(hidden, np.float32)
    return weights
