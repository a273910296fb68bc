"""Where each parameter of the decoder lies in files, and what they did to it.

Ours are the names of `Decoder.named_parameters()`. A `Place` says from which tensor of a file a
parameter comes: as it is, as rows of a fused matrix, turned (GPT-2's Conv1D), with rows in
another order (q and k of Llama in GGUF), or less one (Gemma's norms in config.json folders).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from kataribe.make.model.config import Family, ModelConfig
from kataribe.make.model.shapes import shapes


@dataclass(frozen=True)
class Place:
    """One parameter's place in a file.

    Attributes:
        source: The tensor's name there.
        shape: The parameter's own shape.
        rows: First row and one past the last of a fused tensor, counted when it stands upright;
            None for all.
        fused: Rows of the whole fused tensor; 0 where it is not fused.
        turned: The file holds (in, out).
        heads: Rows of each head are interleaved: first, middle, second, middle + 1, ...; 0 if not.
        offset: What the file's numbers lack.
    """

    source: str
    shape: tuple[int, ...]
    rows: tuple[int, int] | None = None
    fused: int = 0
    turned: bool = False
    heads: int = 0
    offset: float = 0.0

    @property
    def source_shape(self) -> tuple[int, ...]:
        """The shape of the tensor in the file."""
        upright = (self.fused or self.shape[0], *self.shape[1:])
        return upright[::-1] if self.turned else upright


_HF_BLOCK: Mapping[str, str] = {
    "attention_norm": "input_layernorm",
    "attention.project.q": "self_attn.q_proj",
    "attention.project.k": "self_attn.k_proj",
    "attention.project.v": "self_attn.v_proj",
    "attention.q_norm": "self_attn.q_norm",
    "attention.k_norm": "self_attn.k_norm",
    "attention.output": "self_attn.o_proj",
    "mlp_norm": "post_attention_layernorm",
    "mlp.gate_up.gate": "mlp.gate_proj",
    "mlp.gate_up.up": "mlp.up_proj",
    "mlp.up": "mlp.up_proj",
    "mlp.down": "mlp.down_proj",
}
_HF_POST_NORMS: Mapping[str, str] = {
    "attention_post_norm": "post_attention_layernorm",
    "mlp_norm": "pre_feedforward_layernorm",
    "mlp_post_norm": "post_feedforward_layernorm",
}
_HF_GPT2: Mapping[str, str] = {
    "attention_norm": "ln_1",
    "attention.project.q": "attn.c_attn",
    "attention.project.k": "attn.c_attn",
    "attention.project.v": "attn.c_attn",
    "attention.output": "attn.c_proj",
    "mlp_norm": "ln_2",
    "mlp.up": "mlp.c_fc",
    "mlp.down": "mlp.c_proj",
}
_GGUF_BLOCK: Mapping[str, str] = {
    "attention_norm": "attn_norm",
    "attention.project.q": "attn_q",
    "attention.project.k": "attn_k",
    "attention.project.v": "attn_v",
    "attention.q_norm": "attn_q_norm",
    "attention.k_norm": "attn_k_norm",
    "attention.output": "attn_output",
    "attention_post_norm": "post_attention_norm",
    "mlp_norm": "ffn_norm",
    "mlp.gate_up.gate": "ffn_gate",
    "mlp.gate_up.up": "ffn_up",
    "mlp.up": "ffn_up",
    "mlp.down": "ffn_down",
    "mlp_post_norm": "post_ffw_norm",
}
_GGUF_FUSED = {f"attention.project.{part}": "attn_qkv" for part in "qkv"}
_HF_TOP = {
    "embed": "model.embed_tokens",
    "norm": "model.norm",
    "head": "lm_head",
}
_HF_TOP_GPT2 = {
    "embed": "transformer.wte",
    "positions": "transformer.wpe",
    "norm": "transformer.ln_f",
    "head": "lm_head",
}
_GGUF_TOP = {
    "embed": "token_embd",
    "positions": "position_embd",
    "norm": "output_norm",
    "head": "output",
}
HF_PREFIX: Mapping[Family, str] = {"gpt2": "transformer."}
"""What stands before most names; `model.` where a family is not listed."""
_ONE_OFF: frozenset[Family] = frozenset({"gemma2", "gemma3"})
"""Families whose folders hold norms less one; their GGUF files hold the norms themselves."""


def hf_places(config: ModelConfig) -> dict[str, Place]:
    """Our name -> place in a Hugging Face folder of the configuration's family."""
    gpt2 = config.family == "gpt2"
    block = _HF_GPT2 if gpt2 else {**_HF_BLOCK, **(_HF_POST_NORMS if config.post_norms else {})}
    layers = "transformer.h" if gpt2 else "model.layers"
    places = {}
    for name, shape in shapes(config).items():
        module, leaf = name.rsplit(".", 1)
        source = _source(module, block, _HF_TOP_GPT2 if gpt2 else _HF_TOP, layers)
        rows, fused = _fused_rows(config, module) if gpt2 else (None, 0)
        is_norm = module.endswith("norm")
        places[name] = Place(
            f"{source}.{leaf}",
            shape,
            rows=rows,
            fused=fused,
            turned=gpt2 and len(shape) == 2 and module.startswith("blocks."),
            offset=1.0 if is_norm and config.family in _ONE_OFF else 0.0,
        )
    return places


def gguf_places(config: ModelConfig, *, interleaved: bool, fused: bool) -> dict[str, Place]:
    """Our name -> place in a GGUF file.

    `interleaved`: rows of q and k are, as `llama` files have them. `fused`: q, k and v are one.
    """
    block = {**_GGUF_BLOCK, **(_GGUF_FUSED if fused else {})}
    places = {}
    for name, shape in shapes(config).items():
        module, leaf = name.rsplit(".", 1)
        source = _source(module, block, _GGUF_TOP, "blk")
        rows, whole = _fused_rows(config, module) if fused else (None, 0)
        heads = 0
        if interleaved and module.endswith(("project.q", "project.k")):
            heads = config.heads if module.endswith("q") else config.kv_heads
        places[name] = Place(f"{source}.{leaf}", shape, rows=rows, fused=whole, heads=heads)
    return places


def _source(module: str, block: Mapping[str, str], top: Mapping[str, str], layers: str) -> str:
    if not module.startswith("blocks."):
        return top[module]
    _, layer, rest = module.split(".", 2)
    return f"{layers}.{layer}.{block[rest]}"


def _fused_rows(config: ModelConfig, module: str) -> tuple[tuple[int, int] | None, int]:
    """Rows of q, k or v within their one matrix, and how many that has."""
    width, kv_width = config.heads * config.head_dim, config.kv_heads * config.head_dim
    ends = {"q": width, "k": width + kv_width, "v": width + 2 * kv_width}
    part = module.rsplit(".", 1)[-1]
    if not module.endswith(f"project.{part}"):
        return None, 0
    return (ends[part] - (width if part == "q" else kv_width), ends[part]), ends["v"]
