// Matrices in 4, 8 or 16 bits per weight, laid out for the product below, and that product.
//
// A matrix is cut into panels of 32 outputs. Within a panel the inputs follow each other in pairs,
// 16 outputs to a vector: lane i of a vector holds inputs 2p and 2p + 1 of output i as bfloat16, as
// `dot` wants them. Weights in 4 or 8 bits are `value * scale + offset` by groups of inputs and
// become bfloat16 on the way; what is multiplied is the same for one row of activations and for a
// thousand, and so are the order of the sum and its result.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <sys/mman.h>

#include <utility>
#include <vector>

#include "simd.h"

namespace kataribe {

constexpr int PANEL = 32;
constexpr int TILE_ROWS = 12;  // rows of activations whose sums fit into 32 registers
constexpr int FUSED_ROWS = 4;  // up to so many rows, weights are unpacked in registers
constexpr int AHEAD = 5120;    // bytes that are fetched before they are needed

enum class Format : int { Q4 = 0, Q8 = 1, Q8_OFFSET = 2, BFLOAT16 = 3 };

inline int group_of(Format format) { return format == Format::Q4 ? 32 : 16; }

// Bytes of one group of inputs in one panel: its values, then 32 float16 scales (and offsets).
inline size_t group_bytes(Format format) {
    switch (format) {
        case Format::Q4: return 32 * PANEL / 2 + 2 * PANEL * 2;
        case Format::Q8: return 16 * PANEL + PANEL * 2;
        case Format::Q8_OFFSET: return 16 * PANEL + 2 * PANEL * 2;
        default: return 16 * PANEL * 2;
    }
}

// Memory for all matrices of a model, side by side in large pages: a step reads every byte of it,
// and finding each page of 4 KiB anew took up to as long as reading it.
class Arena {
   public:
    Arena() = default;
    Arena(const Arena&) = delete;
    ~Arena() {
        for (const auto& [start, size] : slabs_) munmap(start, size);
    }

    // 64-byte aligned; null where there is no memory.
    uint8_t* take(size_t bytes) {
        bytes = (bytes + 127) / 64 * 64;  // a vector more, so that none ends behind it
        if (left_ < bytes && !grow(bytes)) return nullptr;
        uint8_t* const found = next_;
        next_ += bytes, left_ -= bytes;
        return found;
    }

   private:
    static constexpr size_t PAGE = 2 << 20, SLAB = 64 << 20;

    bool grow(size_t bytes) {
        const size_t size = (std::max(bytes, SLAB) + PAGE - 1) / PAGE * PAGE + PAGE;
        void* start = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (start == MAP_FAILED) return false;
        slabs_.emplace_back(start, size);
#if defined(MADV_HUGEPAGE)
        madvise(start, size, MADV_HUGEPAGE);
#endif
        const auto address = reinterpret_cast<uintptr_t>(start);
        const size_t skipped = (PAGE - address % PAGE) % PAGE;
        next_ = static_cast<uint8_t*>(start) + skipped;
        left_ = size - skipped;
        return true;
    }

    std::vector<std::pair<void*, size_t>> slabs_;
    uint8_t* next_ = nullptr;
    size_t left_ = 0;
};

struct Matrix {
    Format format = Format::BFLOAT16;
    int outputs = 0, inputs = 0;
    size_t panel_bytes = 0;
    std::vector<float> factors;  // of each panel's sums: powers of two that keep scales in float16
    uint8_t* data = nullptr;  // in the model's arena

    int panels() const { return (outputs + PANEL - 1) / PANEL; }
    const uint8_t* panel(int number) const { return data + number * panel_bytes; }

    // False where there is no memory.
    bool reserve(Arena& arena, Format as, int out, int in) {
        format = as, outputs = out, inputs = in;
        panel_bytes = group_bytes(as) * (in / group_of(as));
        factors.assign(panels(), 1.0f);
        data = arena.take(panel_bytes * panels());
        return data != nullptr;
    }
};

// What one panel is packed from, by rows; `scales` and `offsets` have one number per group.
struct Unpacked {
    const uint8_t* values;  // Q4: 0 to 15; Q8: signed; BFLOAT16: two bytes each
    const float* scales;
    const float* offsets;
};

inline uint16_t to_half(float value) {
    const _Float16 half = static_cast<_Float16>(value);
    return load<uint16_t>(&half);
}

// Where a 4-bit weight stands in its group: byte and half of it; see unpack_group.
inline void nibble_place(int column, int k, int& byte, int& half) {
    const int word = (column / 16) * 64 + (k / 8) * 16 + 2 * (column % 8) + k % 2;
    const int nibble = (k % 8) / 2 * 2 + column % 16 / 8;
    byte = word * 4 + nibble / 2, half = nibble % 2;
}

inline float largest_size(const float* values, size_t count) {
    float largest = 0.0f;
    for (size_t i = 0; values && i < count; i++) largest = std::max(largest, std::fabs(values[i]));
    return largest;
}

// The power of two that brings `largest` to just below 2^15, so that of a panel's scales those are
// normal float16 that are larger than a 2^29th of it.
inline float factor_for(float largest) {
    if (!(largest > 0.0f) || !std::isfinite(largest)) return 1.0f;
    int exponent = 0;
    std::frexp(largest, &exponent);
    return std::ldexp(1.0f, std::max(exponent - 15, -100));
}

// Puts rows [32 panel, 32 panel + 32) in place; `from` begins with the first of them.
inline void pack_panel(Matrix& matrix, int number, const Unpacked& from) {
    const int group = group_of(matrix.format), groups = matrix.inputs / group;
    const int present = std::min(PANEL, matrix.outputs - number * PANEL);
    const auto count = static_cast<size_t>(present) * groups;
    uint8_t* at = matrix.data + number * matrix.panel_bytes;
    std::memset(at, 0, matrix.panel_bytes);
    if (matrix.format != Format::BFLOAT16)
        matrix.factors[number] = factor_for(
            std::max(largest_size(from.scales, count), largest_size(from.offsets, count)));
    const float shrink = 1.0f / matrix.factors[number];
    for (int g = 0; g < groups; g++, at += group_bytes(matrix.format)) {
        auto* const wide = reinterpret_cast<uint16_t*>(at);
        uint16_t* const tail = wide + 256;
        for (int c = 0; c < present; c++) {
            const size_t first = (static_cast<size_t>(c) * groups + g) * group;
            if (matrix.format == Format::BFLOAT16) {
                const auto* const values = reinterpret_cast<const uint16_t*>(from.values) + first;
                for (int k = 0; k < group; k++) wide[k / 2 * 64 + c * 2 + k % 2] = values[k];
                continue;
            }
            const uint8_t* const values = from.values + first;
            for (int k = 0; k < group; k++) {
                if (matrix.format == Format::Q4) {
                    int byte, half;
                    nibble_place(c, k, byte, half);
                    at[byte] |= static_cast<uint8_t>(values[k] << (half * 4));
                } else {
                    at[k / 2 * 64 + c * 2 + k % 2] = values[k];
                }
            }
            tail[c] = to_half(from.scales[c * groups + g] * shrink);
            if (from.offsets) tail[PANEL + c] = to_half(from.offsets[c * groups + g] * shrink);
        }
    }
}

// Calls use(half, pair, weights) for each vector of one group: half 0 is outputs 0 to 15.
template <Format F, class Use>
inline __attribute__((always_inline)) void unpack_group(const uint8_t* at, Use use) {
    if constexpr (F == Format::BFLOAT16) {
        for (int pair = 0; pair < 8; pair++) {
            use(0, pair, load<Bits>(at + pair * 128));
            use(1, pair, load<Bits>(at + pair * 128 + 64));
        }
    } else {
        constexpr bool has_offset = F != Format::Q8;
        const uint8_t* const tail = at + 512;
        for (int half = 0; half < 2; half++) {
            const Vec scale = from_halves(tail + half * 32);
            const Vec scale_low = doubled_low(scale), scale_high = doubled_high(scale);
            Vec offset_low{}, offset_high{};
            if constexpr (has_offset) {
                const Vec offset = from_halves(tail + PANEL * 2 + half * 32);
                offset_low = doubled_low(offset), offset_high = doubled_high(offset);
            }
            if constexpr (F == Format::Q4) {
                for (int word = 0; word < 4; word++) {
                    const Bits bits = load<Bits>(at + half * 256 + word * 64);
                    for (int pair = 0; pair < 4; pair++) {
                        const Vec low = from_nibbles(bits >> (8 * pair));
                        const Vec high = from_nibbles(bits >> (8 * pair + 4));
                        use(half, word * 4 + pair,
                            to_pairs(low * scale_low + offset_low, high * scale_high + offset_high));
                    }
                }
            } else {
                for (int pair = 0; pair < 8; pair++) {
                    const uint8_t* const bytes = at + pair * 64 + half * 32;
                    const Vec low = has_offset ? from_bytes(bytes) : from_signed_bytes(bytes);
                    const Vec high =
                        has_offset ? from_bytes(bytes + 16) : from_signed_bytes(bytes + 16);
                    use(half, pair,
                        to_pairs(low * scale_low + offset_low, high * scale_high + offset_high));
                }
            }
        }
    }
}

// Sums of up to FUSED_ROWS rows with one panel, weights unpacked in registers.
template <Format F, int ROWS>
void fused(const uint8_t* panel, const uint32_t* rows, int inputs, Vec factor, float* out) {
    constexpr int group = F == Format::Q4 ? 32 : 16;
    Vec sums[2][ROWS] = {};
    const size_t step = group_bytes(F);
    for (int k = 0; k < inputs; k += group) {
        const uint32_t* const pairs = rows + k / 2 * ROWS;
        for (size_t line = 0; line < step; line += 64) __builtin_prefetch(panel + AHEAD + line);
        unpack_group<F>(panel, [&](int half, int pair, Bits weights) {
            for (int r = 0; r < ROWS; r++)
                sums[half][r] = dot(sums[half][r], weights, splat(pairs[pair * ROWS + r]));
        });
        panel += step;
    }
    for (int r = 0; r < ROWS; r++)
        for (int half = 0; half < 2; half++)
            store(out + r * PANEL + half * LANES, sums[half][r] * factor);
}

// Sums of ROWS rows with one panel of bfloat16 (inputs / 2, 2, 16).
template <int ROWS>
void tile(const uint8_t* panel, const uint32_t* rows, int pairs, Vec factor, float* out) {
    Vec sums[ROWS][2] = {};
    for (int pair = 0; pair < pairs; pair++) {
        const Bits low = load<Bits>(panel), high = load<Bits>(panel + 64);
        for (int r = 0; r < ROWS; r++) {
            const Bits value = splat(rows[r]);
            sums[r][0] = dot(sums[r][0], low, value);
            sums[r][1] = dot(sums[r][1], high, value);
        }
        panel += 128, rows += ROWS;
    }
    for (int r = 0; r < ROWS; r++)
        for (int half = 0; half < 2; half++)
            store(out + r * PANEL + half * LANES, sums[r][half] * factor);
}

using Fused = void (*)(const uint8_t*, const uint32_t*, int, Vec, float*);

template <Format F>
inline Fused fused_for(int rows) {
    constexpr Fused all[] = {fused<F, 1>, fused<F, 2>, fused<F, 3>, fused<F, 4>};
    return all[rows - 1];
}

inline Fused tile_for(int rows) {
    constexpr Fused all[] = {tile<1>, tile<2>, tile<3>, tile<4>,  tile<5>,  tile<6>,
                             tile<7>, tile<8>, tile<9>, tile<10>, tile<11>, tile<12>};
    return all[rows - 1];
}

// How rows of activations lie: in tiles of `height` rows, within a tile by pairs of inputs, bfloat16.
struct Rows {
    int count = 0, height = 1;

    explicit Rows(int rows) : count(rows) {
        const int tiles = (rows + TILE_ROWS - 1) / TILE_ROWS;
        height = tiles ? (rows + tiles - 1) / tiles : 1;
    }
    int tile_rows(int first) const { return std::min(height, count - first); }

    // Where pair 0 of a row lies, and in `step` how far its next pair is.
    size_t place(int row, int inputs, int& step) const {
        const int first = row / height * height;
        step = tile_rows(first);
        return static_cast<size_t>(first) * (inputs / 2) + (row - first);
    }
};

template <Format F>
inline void unpack_panel(const uint8_t* panel, int inputs, uint8_t* dense) {
    constexpr int group = F == Format::Q4 ? 32 : 16;
    for (int k = 0; k < inputs; k += group) {
        unpack_group<F>(panel, [&](int half, int pair, Bits weights) {
            store(dense + pair * 128 + half * 64, weights);
        });
        panel += group_bytes(F), dense += group * PANEL * 2;
    }
}

// One panel times all rows: calls done(first row, rows, sums) with sums (rows, 32) for each tile.
template <class Done>
void product(const Matrix& matrix, const uint32_t* activations, const Rows& rows, int number,
             uint8_t* scratch, Done done) {
    alignas(64) float sums[TILE_ROWS * PANEL];
    const uint8_t* panel = matrix.panel(number);
    const Vec factor = splat(matrix.factors[number]);
    if (rows.count <= FUSED_ROWS) {
        Fused few;
        switch (matrix.format) {
            case Format::Q4: few = fused_for<Format::Q4>(rows.count); break;
            case Format::Q8: few = fused_for<Format::Q8>(rows.count); break;
            case Format::Q8_OFFSET: few = fused_for<Format::Q8_OFFSET>(rows.count); break;
            default: few = fused_for<Format::BFLOAT16>(rows.count);
        }
        few(panel, activations, matrix.inputs, factor, sums);
        done(0, rows.count, sums);
        return;
    }
    switch (matrix.format) {
        case Format::Q4: unpack_panel<Format::Q4>(panel, matrix.inputs, scratch); break;
        case Format::Q8: unpack_panel<Format::Q8>(panel, matrix.inputs, scratch); break;
        case Format::Q8_OFFSET:
            unpack_panel<Format::Q8_OFFSET>(panel, matrix.inputs, scratch);
            break;
        default: break;
    }
    const uint8_t* const dense = matrix.format == Format::BFLOAT16 ? panel : scratch;
    const int pairs = matrix.inputs / 2;
    for (int first = 0; first < rows.count; first += rows.height) {
        const int count = rows.tile_rows(first);
        tile_for(count)(dense, activations + static_cast<size_t>(first) * pairs, pairs, factor,
                        sums);
        done(first, count, sums);
    }
}

// One output's weights, as `product` multiplies by them but unrounded: an embedding's row.
inline void read_row(const Matrix& matrix, int row, float* out) {
    const int group = group_of(matrix.format), c = row % PANEL;
    const uint8_t* at = matrix.panel(row / PANEL);
    const float factor = matrix.factors[row / PANEL];
    for (int first = 0; first < matrix.inputs; first += group, at += group_bytes(matrix.format)) {
        float scale = 1.0f, offset = 0.0f;
        if (matrix.format != Format::BFLOAT16)
            scale = static_cast<float>(load<_Float16>(at + 512 + c * 2)) * factor;
        if (matrix.format == Format::Q4 || matrix.format == Format::Q8_OFFSET)
            offset = static_cast<float>(load<_Float16>(at + 512 + (PANEL + c) * 2)) * factor;
        for (int k = 0; k < group; k++) {
            const int at_byte = k / 2 * 64 + c * 2 + k % 2;
            float value;
            if (matrix.format == Format::Q4) {
                int byte, half;
                nibble_place(c, k, byte, half);
                value = static_cast<float>(at[byte] >> (half * 4) & 15);
            } else if (matrix.format == Format::BFLOAT16) {
                value = from_bfloat16(load<uint16_t>(at + at_byte * 2));
            } else if (matrix.format == Format::Q8) {
                value = static_cast<int8_t>(at[at_byte]);
            } else {
                value = at[at_byte];
            }
            out[first + k] = value * scale + offset;
        }
    }
}

}  // namespace kataribe
