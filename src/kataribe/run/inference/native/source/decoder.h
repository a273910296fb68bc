// A decoder with its weights, its cache and the room for one step.
#pragma once

#include <vector>

#include "attention.h"
#include "cache.h"
#include "matrix.h"
#include "pool.h"

namespace kataribe {

enum class Activation : int { SILU = 0, GELU_TANH = 1 };

// Laid out as `native/library.py` writes it.
struct Shape {
    int32_t layers, hidden, heads, kv_heads, head_dim, intermediate, vocabulary, blocks;
    int32_t activation;
    float epsilon, embedding_scale, attention_scale;
};

// One step, laid out as `native/library.py` writes it. Slice i has rows [row[i], row[i + 1]), the
// first of them at position start[i], and the block table at block[table[i]].
struct StepInput {
    int32_t rows, slices, wanted;
    const int32_t *ids, *row, *start, *table, *block, *wanted_rows;
    float* logits;  // (wanted, vocabulary)
};

// Numbers as `native/library.py` counts them.
enum MatrixPlace { QUERY, KEY, VALUE, OUTPUT, GATE, UP, DOWN, MATRICES };
enum VectorPlace {
    ATTENTION_NORM,
    ATTENTION_POST_NORM,
    MLP_NORM,
    MLP_POST_NORM,
    QUERY_NORM,
    KEY_NORM,
    QUERY_BIAS,
    KEY_BIAS,
    VALUE_BIAS,
    VECTORS
};

struct Layer {
    Matrix matrix[MATRICES];
    std::vector<float> vector[VECTORS];  // empty where the model has none
    int window = 0;                      // 0: everything before
    int rope = 0;                        // which of `Decoder::rope`
};

struct Rope {
    std::vector<float> frequencies;  // (head_dim / 2), radians per position
    float factor = 1.0f;             // of cosine and sine
};

struct Decoder {
    Shape shape{};
    std::vector<Layer> layers;
    std::vector<float> norm;
    Rope rope[2];
    Arena arena;
    Matrix embedding, head;
    bool tied = false;
    Cache cache;

    // Room for a step; grows to the largest.
    struct Room {
        int rows = 0;
        std::vector<float> hidden, update, q, k, v, turns[2];
        std::vector<uint32_t> queries, normed, mixed, gated;
        std::vector<int32_t> slice, position;
    } room;
    std::vector<std::vector<uint8_t>> scratch;  // one per thread: an unpacked panel
    std::vector<std::vector<float>> gates;      // one per thread: a panel's gates, (rows, 32)
    std::vector<AttentionScratch> attention;    // one per thread

    const Matrix& output_head() const { return tied ? embedding : head; }
};

// Computes a step in `threads` threads. The input has been checked.
void run_step(Decoder& decoder, const StepInput& input, int threads);

}  // namespace kataribe
