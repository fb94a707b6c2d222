#pragma once

#include <cstdint>
#include <vector>

namespace stac {

// The mean of values that are not kept.
class RunningMean {
 public:
  void Add(double value) {
    sum_ += value;
    ++count_;
  }
  int64_t count() const { return count_; }
  // 0 without values.
  double mean() const { return count_ > 0 ? sum_ / static_cast<double>(count_) : 0; }

 private:
  double sum_ = 0;
  int64_t count_ = 0;
};

// Percentiles of values that are not kept: they are counted in logarithmic bins, which take 19 kB
// however many values come.
class Histogram {
 public:
  Histogram();
  // Values below 0.001 count as no more than that, values above 10^7 as no less.
  void Add(double value);
  // The p-th percentile (0..100) by nearest rank, within 0.5 % of it; 0 without values.
  double Percentile(double p) const;

 private:
  std::vector<int64_t> bins_;
  int64_t count_ = 0;
  double least_ = 0, most_ = 0;
};

}  // namespace stac
