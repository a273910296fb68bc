// Sixteen floats at a time, and pairs of bfloat16: the few operations everything else is made of.
//
// For processors with AVX-512 and its instructions for bfloat16 (two products added to a float32
// per lane): AMD from Zen 4 on, Intel's servers from Cooper Lake on. In 256 bits, without such
// instructions, the same code took ten times as long, and PyTorch serves those processors better.
// All sums go in an order that depends on nothing but the length of the sum.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#if !defined(__AVX512BF16__)
#error "The native runner is built for AVX512_BF16; see scripts/native.py."
#endif
#include <immintrin.h>

namespace kataribe {

using Vec = float __attribute__((vector_size(64)));
using Bits = uint32_t __attribute__((vector_size(64)));

constexpr int LANES = 16;

template <class T>
inline T load(const void* from) {
    T value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

template <class T>
inline void store(void* to, T value) {
    std::memcpy(to, &value, sizeof value);
}

inline Vec splat(float value) { return Vec{} + value; }
inline Bits splat(uint32_t value) { return Bits{} + value; }
inline Vec max(Vec a, Vec b) { return a > b ? a : b; }
inline Vec min(Vec a, Vec b) { return a < b ? a : b; }

// The nearest whole number, of equals the even one; up to 2^22.
inline Vec nearest(Vec x) { return x + 12582912.0f - 12582912.0f; }

// sum[i] += the products of both bfloat16 of lane i of a and b.
inline Vec dot(Vec sum, Bits a, Bits b) {
    return (Vec)_mm512_dpbf16_ps((__m512)sum, (__m512bh)a, (__m512bh)b);
}

// 32 floats as bfloat16, rounded to nearest even: those of `low` first, two to a lane.
inline Bits to_pairs(Vec low, Vec high) {
    return (Bits)_mm512_cvtne2ps_pbh((__m512)high, (__m512)low);
}

inline float from_bfloat16(uint16_t value) {
    const uint32_t bits = static_cast<uint32_t>(value) << 16;
    return load<float>(&bits);
}

// 16 float16.
inline Vec from_halves(const void* from) {
    return (Vec)_mm512_cvtph_ps(load<__m256i>(from));
}

// The low four bits of each lane as a number from 0 to 15.
inline Vec from_nibbles(Bits bits) {
    const Vec numbers = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return (Vec)_mm512_permutexvar_ps((__m512i)bits, (__m512)numbers);
}

// 16 bytes from 0 to 255.
inline Vec from_bytes(const void* from) {
    return (Vec)_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(load<__m128i>(from)));
}

// 16 bytes from -128 to 127.
inline Vec from_signed_bytes(const void* from) {
    return (Vec)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load<__m128i>(from)));
}

// Lanes 0 to 7, each twice.
inline Vec doubled_low(Vec v) {
    return __builtin_shufflevector(v, v, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
}

// Lanes 8 to 15, each twice.
inline Vec doubled_high(Vec v) {
    return __builtin_shufflevector(v, v, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13, 14, 14, 15,
                                   15);
}

inline float sum_of(Vec v) {
    float lanes[LANES];
    store(lanes, v);
    for (int width = LANES / 2; width; width /= 2)
        for (int i = 0; i < width; i++) lanes[i] += lanes[i + width];
    return lanes[0];
}

inline float largest_of(Vec v) {
    float lanes[LANES];
    store(lanes, v);
    for (int width = LANES / 2; width; width /= 2)
        for (int i = 0; i < width; i++) lanes[i] = lanes[i] > lanes[i + width] ? lanes[i] : lanes[i + width];
    return lanes[0];
}

// e to the x, to about one unit in the last place; 0 below -87. NaN stays NaN: `max` and `min` give
// the second number where one of them is.
inline Vec exp(Vec x) {
    const Vec bounded = min(splat(88.0f), max(splat(-87.0f), x));
    const Vec shifted = bounded * 1.44269504f + 12582912.0f;  // the integer part lies in the low bits
    const Vec whole = shifted - 12582912.0f;
    const Vec rest = (bounded - whole * 0.693359375f) + whole * 2.12194440e-4f;
    Vec sum = splat(1.9875691500e-4f);
    sum = sum * rest + 1.3981999507e-3f;
    sum = sum * rest + 8.3334519073e-3f;
    sum = sum * rest + 4.1665795894e-2f;
    sum = sum * rest + 1.6666665459e-1f;
    sum = sum * rest + 5.0000001201e-1f;
    sum = sum * rest * rest + rest + 1.0f;
    const Bits power = ((Bits)shifted - 0x4b400000u + 127u) << 23;
    const Vec value = sum * (Vec)power;
    return x < splat(-87.0f) ? Vec{} : value;
}

inline Vec silu(Vec x) { return x / (1.0f + exp(-x)); }

// 0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), with tanh written as a logistic.
inline Vec gelu_tanh(Vec x) {
    const Vec inner = x * (1.5957691216f + 0.0713548162f * x * x);
    return x / (1.0f + exp(-inner));
}

}  // namespace kataribe
