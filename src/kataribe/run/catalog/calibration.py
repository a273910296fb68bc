"""What was measured and not counted, for `memory`: one set of figures for each runner."""

from __future__ import annotations

from dataclasses import dataclass, replace

from kataribe.run.catalog.cards import ModelFacts
from kataribe.run.catalog.layout import SOURCES


@dataclass(frozen=True, slots=True)
class Calibration:
    """Measured constants, for Linux on x86-64 with the CPU build of PyTorch 2.13.

    Measured in November 2026 as the peak of resident memory (VmHWM) of a fresh process with the
    server's imports and 2 threads, after loading and after prompts that fill the cache as far as
    said; MiB. Loading anew varies by 20 MiB with how much of the file is mapped at that moment.

    | model (precision auto) | context | in the cache | places | measured | predicted |
    |---|---|---|---|---|---|
    | SmolLM2-135M, Q4_1 | 512 | 512 | 512 | 555 | 525 |
    | | 1024 | 1024 | 1024 | 532 | 525 |
    | | 4096 | 4096 | 4096 | 520 | 525 |
    | | 8192 | 8192 | 8192 | 612 | 615 |
    | | 2048 | 16384 | 16384 | 793 | 791 |
    | | 2048 | 2048 | 32768 | 664 | 671 |
    | the same in bfloat16 | 512 | 512 | 512 | 681 | 691 |
    | in float32, int8, int4 | 512 | 512 | 512 | 903, 549, 534 | 948, 563, 525 |
    | Gemma 3 270M, Q4_K_M | 512 | 512 | 512 | 970 | 969 |
    | | 1024 | 1024 | 1024 | 958 | 969 |
    | | 4096 | 4096 | 4096 | 957 | 969 |
    | | 8192 | 8192 | 8192 | 966 | 969 |
    | | 2048 | 8192 | 8192 | 960 | 969 |
    | | 2048 | 2048 | 32768 | 958 | 969 |
    | Qwen2.5-Coder-1.5B, Q4_K_M | 512 | 512 | 512 | 3040 | 3037 |
    | | 2048 | 2048 | 2048 | 3131 | 3037 |

    Attributes:
        runtime: Bytes of the interpreter with all libraries imported (249 MiB) and of what they
            take once a model runs: threads, compiled kernels, the engine.
        token: Bytes of tokenizer and token tables for each entry of the vocabulary.
        vector: Bytes for each value of norms and biases.
        int4_group: Bytes of scale and zero for 32 weights in int4.
        int8_row: Bytes of scale for one row in int8.
        packing: Bytes per value of the largest matrix of a layer (gate and up together) while it
            is packed and checked.
        mapped: Part of the file's bytes that is still mapped when the last weight is loaded.
        activation: Bytes per token and number of the widest places of a layer that are alive.
        unpacked: Bytes per value of a 4-bit matrix that is unpacked for many tokens, counted.
        unpacked_values: Most values that are unpacked at a time, as `make.adapt.unpack` has it.
        mask: Bytes of masks per token of context: 128 rows, half as long again, built from bits.
        building: Bytes for each entry of the vocabulary that the tokenizer needs while it is made.
        server: What a server takes beside it: studio, database, and requests on their way.
        form: Bytes for each entry of the vocabulary that a server's first reply held to a form
            (a schema, a tool call) needs, for the constraint's tables.
        native: Weights are held as `run.inference.native.weights` says.
    """

    runtime: int = 292 << 20
    token: int = 640
    vector: int = 4
    int4_group: int = 4
    int8_row: int = 2
    packing: float = 11.0
    mapped: float = 1.0
    activation: float = 4.0
    unpacked: float = 4.5
    unpacked_values: int = 1 << 22
    mask: int = 128 * 3 // 2 * 3
    building: int = 0
    server: int = 0
    form: int = 0
    native: bool = False


PYTORCH = Calibration(server=40 << 20, form=450)
"""Of the runner over PyTorch."""

NATIVE = Calibration(
    runtime=78 << 20,
    token=800,
    packing=0.0,
    unpacked=0.0,
    mask=0,
    building=250,
    server=52 << 20,
    form=450,
    native=True,
)
"""Of the native runner, without PyTorch in the process. Measured as the peak of a `kataribe up`,
its children not counted, that read prompts of a whole context so many times, eight streams at once,
and with a chat template replies held to a schema and to a tool (`test_fit_measured`); MiB:

| model (precision auto) | context | times | measured | predicted |
|---|---|---|---|---|
| SmolLM2-135M, Q4_1 | 512 | 1 | 354 | 366 |
| | 3072 | 1 | 372 | 370 |
| | 8192 | 1 | 483 | 483 |
| | 1024 | 4 | 393 | 392 |
| the same in bfloat16, int8, int4 | 2048 | 1 | 535, 424, 350 | 529, 417, 366 |
| Gemma 3 270M, Q4_K_M | 1024 | 1 | 871 to 956 | 910 |
| | 4096 | 1 | 866 to 883 | 910 |
| Qwen2.5-Coder-1.5B, Q4_K_M | 512 | 1 | 2577 | 2613 |
| | 1024 | 1 | 2575 | 2613 |

SmolLM2 in float32, which PyTorch computes, took 1034 (1015). `kataribe ask --local`, which has no
`server`, took 297 (314).
"""

ENCODER = Calibration(
    runtime=250 << 20,
    token=1310,
    packing=0.0,
    activation=8.0,
    mask=0,
)
"""Of encoders, which have no engine and are never packed; measured in the same way with
multilingual-e5-small, whose 250,037 pieces are of the unigram kind (its table takes twice the
bytes of merges), as a `kataribe up` until 8 texts of 502 tokens were read: 1254 MiB in float32
(predicted 1251), 1030 in bfloat16 (1027). Both are the peak of loading, when the file is mapped."""

SOURCE = Calibration(runtime=280 << 20, token=1310, packing=0.0)
"""Of encoder-decoders; measured with a model of the size of T5-small (60 million parameters, 32,128
pieces of the unigram kind) after a source of 501 tokens: 664 MiB in float32 (predicted 667), 548 in
bfloat16 (552)."""

_NATIVE_FAMILIES = frozenset({"llama", "mistral", "qwen2", "qwen3", "gemma3"})
_NATIVE_PRECISIONS = frozenset({"auto", "int4", "int8", "bfloat16"})
_NATIVE_STEP = 32


def calibration_for(
    facts: ModelFacts, precision: str, *, native: bool, serves: bool = True
) -> Calibration:
    """Of what will compute a model, where the native runner is built (`native`) or not.

    `serves` for a server, and not one command.
    """
    found = _of_runner(facts, precision, native=native)
    return found if serves else replace(found, server=0, form=0)


def _of_runner(facts: ModelFacts, precision: str, *, native: bool) -> Calibration:
    if not facts.decodes:
        return ENCODER
    if facts.family in SOURCES:
        return SOURCE
    widths = (facts.hidden_size, facts.intermediate_size, facts.head_dim)
    fits = facts.family in _NATIVE_FAMILIES and not any(w % _NATIVE_STEP for w in widths)
    return NATIVE if native and fits and precision in _NATIVE_PRECISIONS else PYTORCH
