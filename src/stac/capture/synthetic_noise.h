#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace stac {

// Pseudo-random numbers as a pure function of integers: any part of a synthetic picture can be
// made again without what came before it.
inline uint64_t MixBits(uint64_t x) {  // the finalizer of SplitMix64 (Steele et al. 2014)
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}
inline uint64_t MixBits(uint64_t seed, int64_t a, int64_t b = 0) {
  return MixBits(MixBits(seed ^ static_cast<uint64_t>(a)) + static_cast<uint64_t>(b));
}
// Uniform in 0..1.
inline float Uniform(uint64_t seed, int64_t a, int64_t b = 0) {
  return static_cast<float>(MixBits(seed, a, b) >> 40) * (1.0f / (1 << 24));
}

// Smooth noise in -1..1 with values on a lattice of spacing 1.
inline float ValueNoise(uint64_t seed, float x, float y) {
  const float fx = std::floor(x), fy = std::floor(y);
  const auto ix = static_cast<int64_t>(fx), iy = static_cast<int64_t>(fy);
  float u = x - fx, v = y - fy;
  u = u * u * (3 - 2 * u);
  v = v * v * (3 - 2 * v);
  // One hash per lattice row and column instead of two mixes per corner.
  const uint64_t row0 = MixBits(seed ^ static_cast<uint64_t>(iy));
  const uint64_t row1 = MixBits(seed ^ static_cast<uint64_t>(iy + 1));
  const auto corner = [](uint64_t row, int64_t column) {
    uint64_t h = (row ^ static_cast<uint64_t>(column)) * 0xD6E8FEB86659FD93u;
    h ^= h >> 32;
    h *= 0xD6E8FEB86659FD93u;
    return static_cast<float>(h >> 40) * (2.0f / (1 << 24)) - 1;
  };
  const float a = corner(row0, ix), b = corner(row0, ix + 1);
  const float c = corner(row1, ix), d = corner(row1, ix + 1);
  const float top = a + (b - a) * u, bottom = c + (d - c) * u;
  return top + (bottom - top) * v;
}

// Sum of `octaves` of noise, each of half the wavelength and 0.7 of the amplitude of the one
// before; about -1..1. Octaves too fine for a sample that covers `footprint` fade out, so that
// distant texture neither aliases nor flickers.
inline float Texture(uint64_t seed, float x, float y, float wavelength, int octaves,
                     float footprint) {
  float sum = 0, amplitude = 0.5f;
  for (int i = 0; i < octaves; ++i) {
    const float weight = std::clamp(wavelength / footprint * 0.5f - 0.75f, 0.0f, 1.0f);
    if (weight == 0) break;
    sum += weight * amplitude *
           ValueNoise(seed + static_cast<uint64_t>(i), x / wavelength, y / wavelength);
    wavelength *= 0.5f;
    amplitude *= 0.7f;
  }
  return sum;
}

}  // namespace stac
