#include "stac/base/statistics.h"

#include <algorithm>
#include <cmath>

namespace stac {
namespace {

constexpr double kLowest = 1e-3;
constexpr double kHighest = 1e7;
const double kBinWidth = std::log(1.01);
const auto kBins = static_cast<size_t>(std::ceil(std::log(kHighest / kLowest) / kBinWidth));

}  // namespace

Histogram::Histogram() : bins_(kBins, 0) {}

void Histogram::Add(double value) {
  const double place = std::log(std::max(value, kLowest) / kLowest) / kBinWidth;
  ++bins_[std::min(static_cast<size_t>(place), kBins - 1)];
  least_ = count_ == 0 ? value : std::min(least_, value);
  most_ = count_ == 0 ? value : std::max(most_, value);
  ++count_;
}

double Histogram::Percentile(double p) const {
  if (count_ == 0) return 0;
  const auto wanted = static_cast<int64_t>(std::ceil(p / 100 * static_cast<double>(count_)));
  const int64_t rank = std::clamp<int64_t>(wanted, 1, count_);
  int64_t passed = 0;
  size_t bin = 0;
  while ((passed += bins_[bin]) < rank) ++bin;
  const double middle = kLowest * std::exp((static_cast<double>(bin) + 0.5) * kBinWidth);
  return std::clamp(middle, least_, most_);
}

}  // namespace stac
