#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "stac/base/bytes.h"

// Binary arithmetic coding with mixed adaptive models, for maps. Everything is integer arithmetic,
// so that both ends agree on any machine. Probabilities are those of a 1, in 1/65536.

namespace stac {

// Narrows an interval of 32-bit numbers by each decision; the bytes on which its ends agree are
// final.
class ArithmeticEncoder {
 public:
  // Codes `bit`, whose probability of being 1 is p1 / 65536, 0 < p1 < 65536. Returns it.
  bool Code(bool bit, uint32_t p1) {
    const uint32_t middle = low_ + static_cast<uint32_t>((uint64_t{high_ - low_} * p1) >> 16);
    (bit ? high_ : low_) = bit ? middle : middle + 1;
    while (((low_ ^ high_) >> 24) == 0) {
      bytes_.push_back(static_cast<uint8_t>(high_ >> 24));
      low_ <<= 8;
      high_ = high_ << 8 | 255;
    }
    return bit;
  }

  // The shortest bytes that, followed by zeros, lie in the interval.
  Bytes Finish() {
    if (low_ != 0) bytes_.push_back(static_cast<uint8_t>((low_ >> 24) + 1));
    while (!bytes_.empty() && bytes_.back() == 0) bytes_.pop_back();
    return std::move(bytes_);
  }

 private:
  uint32_t low_ = 0;
  uint32_t high_ = 0xFFFFFFFF;
  Bytes bytes_;
};

// The inverse. Any bytes decode to something; zeros follow the end.
class ArithmeticDecoder {
 public:
  explicit ArithmeticDecoder(ByteSpan bytes) : bytes_(bytes) {
    for (int i = 0; i < 4; ++i) value_ = value_ << 8 | Next();
  }

  bool Code(bool /*ignored*/, uint32_t p1) {
    const uint32_t middle = low_ + static_cast<uint32_t>((uint64_t{high_ - low_} * p1) >> 16);
    const bool bit = value_ <= middle;
    (bit ? high_ : low_) = bit ? middle : middle + 1;
    while (((low_ ^ high_) >> 24) == 0) {
      low_ <<= 8;
      high_ = high_ << 8 | 255;
      value_ = value_ << 8 | Next();
    }
    return bit;
  }

 private:
  uint32_t Next() { return at_ < bytes_.size() ? bytes_[at_++] : 0; }

  ByteSpan bytes_;
  size_t at_ = 0;
  uint32_t low_ = 0;
  uint32_t high_ = 0xFFFFFFFF;
  uint32_t value_ = 0;
};

// Natural log-odds in 1/256 for probabilities in 1/4096, and the inverse for 1/65536. Computed at
// compile time, where floating point is exact IEEE on every machine.
struct LogisticTables {
  static constexpr int kLimit = 2839;  // log-odds of 1/65536
  std::array<uint16_t, 2 * kLimit + 1> squash{};
  std::array<int16_t, 4096> stretch{};

  constexpr LogisticTables() {
    const double step = 1.0039138893383475734436096039034;  // exp(1 / 256)
    double power = 1;
    for (int i = 0; i <= kLimit; ++i, power *= step) {
      const auto p = static_cast<int>(65536 * power / (1 + power));
      squash[kLimit + i] = static_cast<uint16_t>(std::min(p, 65535));
      squash[kLimit - i] = static_cast<uint16_t>(std::max(65536 - p, 1));
    }
    int odds = -kLimit;
    for (int i = 0; i < 4096; ++i) {
      while (odds < kLimit && squash[kLimit + odds] < i * 16 + 8) ++odds;
      stretch[i] = static_cast<int16_t>(odds);
    }
  }
};
inline constexpr LogisticTables kLogistic;

// The probability of a 1 in one context, learned from what was seen: the average at first, then
// over a window of about `limit` decisions.
class BitModel {
 public:
  static constexpr int kMaxLimit = 1023;

  // In 1/65536, 1..65535.
  uint32_t Probability() const { return std::clamp<uint32_t>(p1_ >> 16, 1, 65535); }
  int LogOdds() const { return kLogistic.stretch[p1_ >> 20]; }
  void Update(bool bit, int limit) {
    const int64_t target = bit ? 0xFFFFFFFF : 0;
    p1_ = static_cast<uint32_t>(p1_ + (((target - p1_) * kShare[seen_]) >> 16));
    if (seen_ < limit) ++seen_;
  }

 private:
  // The weight of the next decision after n of them: 1 / (n + 1.5).
  static constexpr auto kShare = [] {
    std::array<uint16_t, kMaxLimit + 1> share{};
    for (int n = 0; n <= kMaxLimit; ++n) share[n] = static_cast<uint16_t>(2 * 65536 / (2 * n + 3));
    return share;
  }();

  uint32_t p1_ = 0x80000000;
  uint16_t seen_ = 0;
};

// Mixes the opinions of several contexts in the log-odds domain, with weights that are learned
// (gradient descent on coding cost), one set per situation.
template <int kInputs>
class Mixer {
 public:
  struct Weights {
    std::array<int32_t, kInputs> w;
    Weights() { w.fill(65536 * 2 / (kInputs + 2)); }
  };

  // Codes one decision and learns from it. Rate: weight change per unit of error, 1 / 2^rate.
  template <typename Coder>
  static bool Code(Coder& coder, bool bit, const std::array<BitModel*, kInputs>& models,
                   Weights& weights, int rate, int limit) {
    std::array<int, kInputs> odds;
    int64_t sum = 0;
    for (int i = 0; i < kInputs; ++i) {
      odds[i] = models[i]->LogOdds();
      sum += int64_t{odds[i]} * weights.w[i];
    }
    const auto mixed = static_cast<int>(
        std::clamp<int64_t>(sum >> 16, -LogisticTables::kLimit, LogisticTables::kLimit));
    const int p1 = std::clamp<int>(kLogistic.squash[LogisticTables::kLimit + mixed], 16, 65520);
    bit = coder.Code(bit, static_cast<uint32_t>(p1));
    const int error = (bit ? 65535 : 0) - p1;
    for (int i = 0; i < kInputs; ++i) {
      const int64_t change = (int64_t{odds[i]} * error) >> (8 + rate);
      weights.w[i] =
          static_cast<int32_t>(std::clamp<int64_t>(weights.w[i] + change, -(1 << 20), 1 << 20));
      models[i]->Update(bit, limit);
    }
    return bit;
  }
};

}  // namespace stac
