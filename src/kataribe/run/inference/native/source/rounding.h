// Ordinary weights to 4 bits in groups of 32, with the least squared error found.
//
// Beginning with the range from smallest to largest, narrower ranges are tried: cutting off one
// outlier often serves the 31 others better. The winner's scale and offset are then fitted to its
// values by least squares. `make.adapt.groups.from_values` says the same in PyTorch.
#pragma once

#include "simd.h"

namespace kataribe {

constexpr int RANGES = 24;

// One group: 32 weights to values from 0 to 15, and weight = value * scale + offset.
inline void round_group(const float* weights, uint8_t* values, float& scale, float& offset) {
    const Vec a = load<Vec>(weights), b = load<Vec>(weights + LANES);
    const float high = largest_of(max(a, b)), low = -largest_of(max(-a, -b));
    const float mean = sum_of(a + b) / 32;
    float best = INFINITY;
    Vec best_a{}, best_b{};
    scale = 0.0f, offset = mean;
    for (int range = 0; range < RANGES; range++) {
        const float width = (high - low) * (1.0f - 0.5f * static_cast<float>(range) / RANGES);
        const float first = (low + high) / 2 - width / 2;
        const float step = std::fmax(width / 15, 1e-30f);
        const Vec top = splat(15.0f), none{};
        const Vec p = min(max(nearest((a - first) / step), none), top);
        const Vec q = min(max(nearest((b - first) / step), none), top);
        const float middle = sum_of(p + q) / 32;
        const Vec from_p = p - middle, from_q = q - middle;
        const float spread = sum_of(from_p * from_p + from_q * from_q);
        const float product = sum_of(from_p * (a - mean) + from_q * (b - mean));
        const float fitted = product / std::fmax(spread, 1e-30f);
        const float base = mean - fitted * middle;
        const Vec error_a = p * fitted + base - a, error_b = q * fitted + base - b;
        const float error = sum_of(error_a * error_a + error_b * error_b);
        if (error < best) best = error, best_a = p, best_b = q, scale = fitted, offset = base;
    }
    float whole[2 * LANES];
    store(whole, best_a), store(whole + LANES, best_b);
    for (int i = 0; i < 2 * LANES; i++) values[i] = static_cast<uint8_t>(whole[i]);
}

}  // namespace kataribe
