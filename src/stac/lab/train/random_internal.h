#pragma once

#include <cstdint>

namespace stac {

// SplitMix64 (Steele, Lea, Flood 2014): small, and the same on every platform, unlike the
// distributions of <random>.
class Random {
 public:
  Random(uint64_t seed, uint64_t stream) : state_(seed * 0x9E3779B97F4A7C15u ^ stream) { Next(); }
  uint64_t Next() {
    uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  double Uniform() { return static_cast<double>(Next() >> 11) * 0x1p-53; }  // 0..1, without 1
  double Between(double low, double high) { return low + (high - low) * Uniform(); }
  int64_t Below(int64_t end) { return static_cast<int64_t>(Uniform() * static_cast<double>(end)); }

 private:
  uint64_t state_;
};

}  // namespace stac
