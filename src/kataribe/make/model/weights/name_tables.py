"""What the parts of a decoder are called in files, family by family.

Tables lead from a module of ours (`attention.project.q`, within its block) to the module of the
file; `*` stands for an expert's number. A family without an entry in `HF_NAMES`
has the names of `HFNames()`, which are Llama's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from kataribe.make.model.configs.config import Family
from kataribe.make.model.configs.mixer_config import MOST_FILTER_LAYERS

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
_MAMBA_PARTS = {
    "": "",
    ".input": ".in_proj",
    ".conv": ".conv1d",
    ".select": ".x_proj",
    ".step": ".dt_proj",
    ".norm": ".norm",
    ".output": ".out_proj",
}
_MAMBA = HFNames(
    block={"mixer_norm": "norm"}
    | {f"mixer{ours}": f"mixer{theirs}" for ours, theirs in _MAMBA_PARTS.items()},
    top={"embed": "backbone.embeddings", "norm": "backbone.norm_f", "head": "lm_head"},
    layers="backbone.layers",
    prefix="backbone.",
)
_JAMBA = HFNames(
    block={name: part for name, part in _HF_BLOCK.items() if name.startswith("attention")}
    | {f"mixer{ours}": f"mamba{theirs}" for ours, theirs in _MAMBA_PARTS.items()}
    | {
        "mixer_norm": "input_layernorm",
        "mixer.step_norm": "mamba.dt_layernorm",
        "mixer.b_norm": "mamba.b_layernorm",
        "mixer.c_norm": "mamba.c_layernorm",
        "mlp_norm": "pre_ff_layernorm",
        "mlp.gate_up.gate": "feed_forward.gate_proj",
        "mlp.gate_up.up": "feed_forward.up_proj",
        "mlp.down": "feed_forward.down_proj",
        "mlp.router": "feed_forward.router",
        "mlp.experts.*.gate_up.gate": "feed_forward.experts.*.gate_proj",
        "mlp.experts.*.gate_up.up": "feed_forward.experts.*.up_proj",
        "mlp.experts.*.down": "feed_forward.experts.*.down_proj",
    },
    top={**_HF_TOP, "norm": "model.final_layernorm"},
)
_OWN_MIXER = (
    "", ".input", ".conv", ".select", ".step", ".step_norm", ".b_norm", ".c_norm", ".norm",
    ".output", ".filter", ".filter.last",
    *(f".filter.layers.{number}" for number in range(MOST_FILTER_LAYERS + 1)),
)  # fmt: skip
_OWN = HFNames(
    block={**_GEMMA.block, **_QWEN_MOE.block, **_BITNET.block}
    | {"attention_post_norm": "attention_post_norm", "mlp_post_norm": "mlp_post_norm"}
    | {"mlp.shared.inner_norm": "mlp.shared_expert.ffn_sub_norm"}
    | {"mlp.experts.*.inner_norm": "mlp.experts.*.ffn_sub_norm"}
    | {f"mixer{name}": f"mixer{name}" for name in ("_norm", *_OWN_MIXER)},
    top={**_HF_TOP, "positions": "model.embed_positions"},
)
HF_NAMES: Mapping[Family, HFNames] = {
    "gpt2": _GPT2,
    "gemma2": _GEMMA,
    "gemma3": _GEMMA,
    "mixtral": _MIXTRAL,
    "qwen2moe": _QWEN_MOE,
    "qwen3moe": _QWEN_MOE,
    "bitnet": _BITNET,
    "mamba": _MAMBA,
    "mamba2": _MAMBA,
    "jamba": _JAMBA,
    "kataribe": _OWN,
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
