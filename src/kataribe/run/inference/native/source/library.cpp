// What Python calls. Every function that can fail gives 0 for success, else a number of `Failure`.
#include <atomic>
#include <memory>
#include <new>

#include "decoder.h"
#include "rounding.h"

using namespace kataribe;

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

enum Failure { FINE = 0, NO_MEMORY = 1, BAD_INPUT = 2, REFUSED = 3 };

// No exception may leave through a C function.
template <class Use>
int guarded(Use use) {
    try {
        return use();
    } catch (const std::bad_alloc&) {
        return NO_MEMORY;
    } catch (const std::exception&) {  // the system has no more threads
        return REFUSED;
    }
}

constexpr int VERSION = 3;  // `native/library.py` has the same

// Layer -1: the embedding (place 0) or the head (place 1).
Matrix& matrix_at(Decoder& decoder, int layer, int place) {
    if (layer >= 0) return decoder.layers[layer].matrix[place];
    return place == 0 ? decoder.embedding : decoder.head;
}

bool is_whole(const Decoder& decoder, const StepInput& input) {
    const int slices = input.slices;
    if (input.rows < 1 || slices < 1 || input.row[0] != 0) return false;
    if (input.wanted < 0 || input.wanted > input.rows) return false;
    if (input.row[slices] != input.rows) return false;
    for (int i = 0; i < input.rows; i++)
        if (input.ids[i] < 0 || input.ids[i] >= decoder.shape.vocabulary) return false;
    for (int i = 0; i < input.wanted; i++)
        if (input.wanted_rows[i] < 0 || input.wanted_rows[i] >= input.rows) return false;
    for (int i = 0; i < slices; i++) {
        const int count = input.row[i + 1] - input.row[i];
        if (count < 1 || input.start[i] < 0) return false;
        const int64_t end = static_cast<int64_t>(input.start[i]) + count;
        const int64_t needed = (end + BLOCK - 1) / BLOCK;
        if (input.table[i + 1] - input.table[i] < needed) return false;
    }
    for (int i = 0; i < input.table[slices]; i++)
        if (input.block[i] < 0 || input.block[i] >= decoder.shape.blocks) return false;
    return true;
}

}  // namespace

// The version of these functions, or 0 where this build asks for more than the processor has.
EXPORT int kataribe_version() {
    if (!__builtin_cpu_supports("avx512bf16") || !__builtin_cpu_supports("avx512vl") ||
        !__builtin_cpu_supports("avx512bw") || !__builtin_cpu_supports("avx512dq"))
        return 0;
    return VERSION;
}

EXPORT int kataribe_new(const Shape* shape, Decoder** out) {
    return guarded([&]() -> int {
        auto decoder = std::make_unique<Decoder>();
        decoder->shape = *shape;
        decoder->layers = std::vector<Layer>(static_cast<size_t>(shape->layers));
        if (!decoder->cache.reserve(shape->layers, shape->blocks, shape->kv_heads, shape->head_dim))
            return NO_MEMORY;
        *out = decoder.release();
        return FINE;
    });
}

EXPORT void kataribe_free(Decoder* decoder) {
    Pool::instance().settle();
    delete decoder;
}

// Makes room for a matrix; layer and place as in `matrix_at`.
EXPORT int kataribe_reserve(Decoder* decoder, int layer, int place, int format, int outputs,
                            int inputs) {
    return guarded([&]() -> int {
        Matrix& matrix = matrix_at(*decoder, layer, place);
        return matrix.reserve(decoder->arena, static_cast<Format>(format), outputs, inputs) ? FINE : NO_MEMORY;
    });
}

// Packs rows from `first` (a multiple of 32) on, in the calling thread.
EXPORT void kataribe_pack(Decoder* decoder, int layer, int place, int first, int rows,
                          const Unpacked* from) {
    Matrix& matrix = matrix_at(*decoder, layer, place);
    const int group = group_of(matrix.format), groups = matrix.inputs / group;
    const size_t width = matrix.format == Format::BFLOAT16 ? 2 : 1;
    for (int row = 0; row < rows; row += PANEL) {
        const auto skipped = static_cast<size_t>(row);
        const Unpacked panel{from->values + skipped * matrix.inputs * width,
                             from->scales ? from->scales + skipped * groups : nullptr,
                             from->offsets ? from->offsets + skipped * groups : nullptr};
        pack_panel(matrix, (first + row) / PANEL, panel);
    }
}

// 32 weights for each group to values, one scale and one offset.
EXPORT void kataribe_round(const float* weights, int64_t groups, uint8_t* values, float* scales,
                           float* offsets) {
    for (int64_t g = 0; g < groups; g++)
        round_group(weights + g * 32, values + g * 32, scales[g], offsets[g]);
}

// One row of a matrix as it is held, unrounded.
EXPORT void kataribe_row(Decoder* decoder, int layer, int place, int row, float* out) {
    read_row(matrix_at(*decoder, layer, place), row, out);
}

EXPORT void kataribe_tie(Decoder* decoder) { decoder->tied = true; }

// Layer -1: the last norm.
EXPORT int kataribe_vector(Decoder* decoder, int layer, int place, const float* values,
                           int count) {
    return guarded([&]() -> int {
        auto& target = layer >= 0 ? decoder->layers[layer].vector[place] : decoder->norm;
        target.assign(values, values + count);
        return FINE;
    });
}

EXPORT int kataribe_rope(Decoder* decoder, int kind, const float* frequencies, int count,
                         float factor) {
    return guarded([&]() -> int {
        decoder->rope[kind].frequencies.assign(frequencies, frequencies + count);
        decoder->rope[kind].factor = factor;
        return FINE;
    });
}

EXPORT void kataribe_layer(Decoder* decoder, int layer, int window, int rope) {
    decoder->layers[layer].window = window;
    decoder->layers[layer].rope = rope;
}

EXPORT int kataribe_step(Decoder* decoder, const StepInput* input, int threads) {
    if (!decoder || threads < 1 || !is_whole(*decoder, *input)) return BAD_INPUT;
    return guarded([&]() -> int {
        run_step(*decoder, *input, threads);
        return FINE;
    });
}

EXPORT void kataribe_copy(Decoder* decoder, const int32_t* pairs, int count) {
    for (int i = 0; i < count; i++) decoder->cache.copy(pairs[2 * i], pairs[2 * i + 1]);
}
