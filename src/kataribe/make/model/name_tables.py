"""What the parts of a decoder are called in files, family by family.

Tables lead from a module of ours (`attention.project.q`, within its block) to the module of the
file; `*` stands for an expert's number. A family without an entry in `HF_NAMES`
has the names of `HFNames()`, which are Llama's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kataribe.make.model.config import Family

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
_HF_TOP = {
    "embed": "model.embed_tokens",
    "norm": "model.norm",
    "head": "lm_head",
}


@dataclass(frozen=True)
class HFNames:
    """Names in a Hugging Face folder, and what the family does to its tensors.

    Attributes:
        block: Modules of one block.
        top: Modules outside of blocks.
        layers: What stands before a block's number.
        prefix: What stands before most names of `XForCausalLM`; others leave it out.
        norm_offset: What the file's norms lack.
        fused_qkv: q, k and v are rows of one matrix.
        turned: The matrices of blocks are (in, out).
    """

    block: Mapping[str, str] = field(default_factory=lambda: _HF_BLOCK)
    top: Mapping[str, str] = field(default_factory=lambda: _HF_TOP)
    layers: str = "model.layers"
    prefix: str = "model."
    norm_offset: float = 0.0
    fused_qkv: bool = False
    turned: bool = False


_GEMMA = HFNames(
    block={
        **_HF_BLOCK,
        "attention_post_norm": "post_attention_layernorm",
        "mlp_norm": "pre_feedforward_layernorm",
        "mlp_post_norm": "post_feedforward_layernorm",
    },
    norm_offset=1.0,
)
_GPT2 = HFNames(
    block={
        "attention_norm": "ln_1",
        "attention.project.q": "attn.c_attn",
        "attention.project.k": "attn.c_attn",
        "attention.project.v": "attn.c_attn",
        "attention.output": "attn.c_proj",
        "mlp_norm": "ln_2",
        "mlp.up": "mlp.c_fc",
        "mlp.down": "mlp.c_proj",
    },
    top={
        "embed": "transformer.wte",
        "positions": "transformer.wpe",
        "norm": "transformer.ln_f",
        "head": "lm_head",
    },
    layers="transformer.h",
    prefix="transformer.",
    fused_qkv=True,
    turned=True,
)
_MIXTRAL = HFNames(
    block={
        **_HF_BLOCK,
        "mlp.router": "block_sparse_moe.gate",
        "mlp.experts.*.gate_up.gate": "block_sparse_moe.experts.*.w1",
        "mlp.experts.*.gate_up.up": "block_sparse_moe.experts.*.w3",
        "mlp.experts.*.down": "block_sparse_moe.experts.*.w2",
    }
)
_QWEN_MOE = HFNames(
    block={
        **_HF_BLOCK,
        "mlp.router": "mlp.gate",
        "mlp.experts.*.gate_up.gate": "mlp.experts.*.gate_proj",
        "mlp.experts.*.gate_up.up": "mlp.experts.*.up_proj",
        "mlp.experts.*.down": "mlp.experts.*.down_proj",
        "mlp.shared.gate_up.gate": "mlp.shared_expert.gate_proj",
        "mlp.shared.gate_up.up": "mlp.shared_expert.up_proj",
        "mlp.shared.down": "mlp.shared_expert.down_proj",
        "mlp.shared_gate": "mlp.shared_expert_gate",
    }
)
_BITNET = HFNames(
    block={
        **_HF_BLOCK,
        "attention.inner_norm": "self_attn.attn_sub_norm",
        "mlp.inner_norm": "mlp.ffn_sub_norm",
    }
)
HF_NAMES: Mapping[Family, HFNames] = {
    "gpt2": _GPT2,
    "gemma2": _GEMMA,
    "gemma3": _GEMMA,
    "mixtral": _MIXTRAL,
    "qwen2moe": _QWEN_MOE,
    "qwen3moe": _QWEN_MOE,
    "bitnet": _BITNET,
}
"""Families that differ from Llama's names."""


def hf_names(family: Family) -> HFNames:
    """The names of a family's folders."""
    return HF_NAMES.get(family, HFNames())


GGUF_BLOCK: Mapping[str, str] = {
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
    "mlp.router": "ffn_gate_inp",
    "mlp.experts.*.gate_up.gate": "ffn_gate_exps",
    "mlp.experts.*.gate_up.up": "ffn_up_exps",
    "mlp.experts.*.down": "ffn_down_exps",
    "mlp.shared.gate_up.gate": "ffn_gate_shexp",
    "mlp.shared.gate_up.up": "ffn_up_shexp",
    "mlp.shared.down": "ffn_down_shexp",
    "mlp.shared_gate": "ffn_gate_inp_shexp",
}
GGUF_FUSED = {f"attention.project.{part}": "attn_qkv" for part in "qkv"}
GGUF_TOP = {
    "embed": "token_embd",
    "positions": "position_embd",
    "norm": "output_norm",
    "head": "output",
}
