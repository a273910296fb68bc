// Keys and values in blocks of 16 tokens, laid out for the products of attention.
//
// Keys of one block and head: (head_dim / 2, 16 tokens) pairs of bfloat16, so that one vector holds
// two dimensions of 16 tokens. Values: (8, head_dim) pairs, one vector holding two tokens in 16
// dimensions.
#pragma once

#include <sys/mman.h>

#include "simd.h"

namespace kataribe {

constexpr int BLOCK = 16;

class Cache {
   public:
    // The system gives memory for a page only when it is first written, and small ones are asked
    // for: a first prompt writes a little into every layer's part.
    bool reserve(int layers, int blocks, int kv_heads, int head_dim) {
        blocks_ = blocks, kv_heads_ = kv_heads, head_dim_ = head_dim;
        head_bytes_ = static_cast<size_t>(BLOCK) * head_dim * 2;
        layer_bytes_ = head_bytes_ * kv_heads * blocks;
        bytes_ = 2 * layer_bytes_ * layers;
        layers_ = layers;
        void* found = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                           -1, 0);
        if (found == MAP_FAILED) return false;
#if defined(MADV_NOHUGEPAGE)
        madvise(found, bytes_, MADV_NOHUGEPAGE);
#endif
        data_ = static_cast<uint8_t*>(found);
        return true;
    }
    ~Cache() {
        if (data_) munmap(data_, bytes_);
    }

    int blocks() const { return blocks_; }
    uint8_t* keys(int layer, int block, int head) const {
        return data_ + (2 * layer) * layer_bytes_ +
               (static_cast<size_t>(block) * kv_heads_ + head) * head_bytes_;
    }
    uint8_t* values(int layer, int block, int head) const {
        return keys(layer, block, head) + layer_bytes_;
    }

    // What a mask hides is still multiplied by 0, so that nothing strange may be left there.
    void clear(int block) const {
        for (int layer = 0; layer < layers_; layer++) {
            std::memset(keys(layer, block, 0), 0, head_bytes_ * kv_heads_);
            std::memset(values(layer, block, 0), 0, head_bytes_ * kv_heads_);
        }
    }
    void copy(int source, int target) const {
        for (int layer = 0; layer < layers_; layer++) {
            const size_t bytes = head_bytes_ * kv_heads_;
            std::memcpy(keys(layer, target, 0), keys(layer, source, 0), bytes);
            std::memcpy(values(layer, target, 0), values(layer, source, 0), bytes);
        }
    }

    // key and value: float (head_dim).
    void write(int layer, int block, int head, int place, const float* key,
               const float* value) const {
        auto* k = reinterpret_cast<uint32_t*>(keys(layer, block, head)) + place;
        auto* v = reinterpret_cast<uint16_t*>(values(layer, block, head)) +
                  place / 2 * head_dim_ * 2 + place % 2;
        for (int i = 0; i < head_dim_; i += 2 * LANES) {
            uint32_t pairs[LANES];
            store(pairs, to_pairs(load<Vec>(key + i), load<Vec>(key + i + LANES)));
            for (int j = 0; j < LANES; j++, k += BLOCK) *k = pairs[j];
            uint16_t singles[2 * LANES];
            store(singles, to_pairs(load<Vec>(value + i), load<Vec>(value + i + LANES)));
            for (int j = 0; j < 2 * LANES; j++, v += 2) *v = singles[j];
        }
    }

   private:
    int layers_ = 0, blocks_ = 0, kv_heads_ = 0, head_dim_ = 0;
    size_t head_bytes_ = 0, layer_bytes_ = 0, bytes_ = 0;
    uint8_t* data_ = nullptr;
};

}  // namespace kataribe
