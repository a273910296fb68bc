// Softmax attention of some queries of one sequence over its blocks in the cache.
//
// All scores of a query first, then one softmax, then the values: a query's result depends on its
// own position only, never on which other queries stand beside it or where a prompt was cut.
#pragma once

#include <algorithm>
#include <vector>

#include "cache.h"

namespace kataribe {

constexpr int QUERIES = 8;  // whose sums fit into registers

struct Query {
    const uint32_t* pairs;  // (head_dim / 2) pairs of bfloat16
    int position;
};

struct Scope {
    const Cache* cache;
    int layer, head, head_dim;
    const int32_t* blocks;  // of the sequence
    int window;             // 0: everything before
    float scale;
};

struct AttentionScratch {
    std::vector<float> scores;
    std::vector<uint16_t> weights;
    std::vector<uint32_t> pairs;

    // For queries that see up to `keys` keys; memory is asked for before threads work, because
    // there is nobody to tell when it runs out in one of them.
    void reserve(int keys, int head_dim) {
        const auto padded = static_cast<size_t>(keys + 4 * BLOCK - 1) / (4 * BLOCK) * (4 * BLOCK);
        const size_t needed = QUERIES * (padded + 4 * BLOCK);
        if (scores.size() < needed) scores.resize(needed);
        if (weights.size() < needed) weights.resize(needed);
        pairs.resize(static_cast<size_t>(QUERIES) * head_dim / 2);
    }
};

// Scores of T queries over blocks [first, last), N blocks at a time; hidden ones are -infinity.
// `pairs` has the queries' values by pair: (head_dim / 2, T).
template <int T, int N>
void score(const Scope& scope, const Query* queries, const uint32_t* pairs, int first, int last,
           int stride, float* scores) {
    const Vec places = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const Vec hidden = splat(-INFINITY), scale = splat(scope.scale);
    for (int block = first; block < last; block += N) {
        const uint8_t* keys[N];
        for (int n = 0; n < N; n++)
            keys[n] = scope.cache->keys(scope.layer, scope.blocks[std::min(block + n, last - 1)],
                                        scope.head);
        Vec sums[T][N] = {};
        for (int pair = 0; pair < scope.head_dim / 2; pair++)
            for (int n = 0; n < N; n++) {
                const Bits key = load<Bits>(keys[n] + pair * 64);
                for (int t = 0; t < T; t++)
                    sums[t][n] = dot(sums[t][n], key, splat(pairs[pair * T + t]));
            }
        for (int t = 0; t < T; t++) {
            const int oldest = scope.window ? queries[t].position + 1 - scope.window : 0;
            for (int n = 0; n < N; n++) {
                const int start = (block + n) * BLOCK;
                Vec value = sums[t][n] * scale;
                if (start + BLOCK > queries[t].position + 1 || start < oldest) {
                    const Vec at = places + static_cast<float>(start);
                    value = at > splat(static_cast<float>(queries[t].position)) ? hidden : value;
                    value = at < splat(static_cast<float>(oldest)) ? hidden : value;
                }
                store(scores + t * stride + (block - first + n) * BLOCK, value);
            }
        }
    }
}

// Scores to weights in bfloat16, not yet divided by their sum; gives 1 / sum.
inline float soften(const float* scores, int count, uint16_t* weights) {
    Vec highest = splat(-INFINITY), total{};
    for (int i = 0; i < count; i += LANES) highest = max(highest, load<Vec>(scores + i));
    const Vec top = splat(largest_of(highest));
    for (int i = 0; i < count; i += 2 * LANES) {
        const Vec low = exp(load<Vec>(scores + i) - top);
        const Vec high = exp(load<Vec>(scores + i + LANES) - top);
        total += low;
        total += high;
        store(weights + i, to_pairs(low, high));
    }
    return 1.0f / sum_of(total);
}

// Calls done(query, dimension, low, high) with 32 dimensions of each query's mixed values.
template <int T, class Done>
void mix(const Scope& scope, int first, int last, int stride, const uint16_t* weights,
         const float* shares, Done done) {
    const int blocks = last - first;
    for (int dimension = 0; dimension < scope.head_dim; dimension += 2 * LANES) {
        Vec sums[T][2] = {};
        for (int block = 0; block < blocks; block++) {
            const uint8_t* values =
                scope.cache->values(scope.layer, scope.blocks[first + block], scope.head) +
                dimension * 4;
            const uint16_t* from = weights + block * BLOCK;
            for (int pair = 0; pair < BLOCK / 2; pair++) {
                const Bits a = load<Bits>(values), b = load<Bits>(values + 64);
                for (int t = 0; t < T; t++) {
                    const Bits w = splat(load<uint32_t>(from + t * stride + pair * 2));
                    sums[t][0] = dot(sums[t][0], a, w);
                    sums[t][1] = dot(sums[t][1], b, w);
                }
                values += scope.head_dim * 4;
            }
        }
        for (int t = 0; t < T; t++)
            done(t, dimension, sums[t][0] * splat(shares[t]), sums[t][1] * splat(shares[t]));
    }
}

template <int T, class Done>
void attend_some(const Scope& scope, const Query* queries, AttentionScratch& scratch, Done done) {
    int oldest = queries[0].position, newest = 0;
    for (int t = 0; t < T; t++) {
        oldest = std::min(oldest, queries[t].position);
        newest = std::max(newest, queries[t].position);
    }
    const int first = scope.window ? std::max(0, oldest + 1 - scope.window) / BLOCK : 0;
    const int last = newest / BLOCK + 1;
    constexpr int together = T > 3 ? 2 : 4;  // blocks: enough sums at once to hide their latency
    const int stride = (last - first + together - 1) / together * together * BLOCK;
    uint32_t* const pairs = scratch.pairs.data();
    for (int pair = 0; pair < scope.head_dim / 2; pair++)
        for (int t = 0; t < T; t++) pairs[pair * T + t] = queries[t].pairs[pair];
    score<T, together>(scope, queries, pairs, first, last, stride, scratch.scores.data());
    float shares[T];
    for (int t = 0; t < T; t++)
        shares[t] = soften(scratch.scores.data() + t * stride, stride,
                           scratch.weights.data() + t * stride);
    mix<T>(scope, first, last, stride, scratch.weights.data(), shares, done);
}

template <class Done>
void attend(const Scope& scope, const Query* queries, int count, AttentionScratch& scratch,
            Done done) {
    switch (count) {
        case 1: return attend_some<1>(scope, queries, scratch, done);
        case 2: return attend_some<2>(scope, queries, scratch, done);
        case 3: return attend_some<3>(scope, queries, scratch, done);
        case 4: return attend_some<4>(scope, queries, scratch, done);
        case 5: return attend_some<5>(scope, queries, scratch, done);
        case 6: return attend_some<6>(scope, queries, scratch, done);
        case 7: return attend_some<7>(scope, queries, scratch, done);
        default: return attend_some<8>(scope, queries, scratch, done);
    }
}

}  // namespace kataribe
