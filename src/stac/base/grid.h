#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "stac/base/check.h"

namespace stac {

// A dense two-dimensional array, row-major, without padding between rows.
template <typename T>
class Grid {
 public:
  Grid() = default;
  Grid(int width, int height, T fill = T{})
      : width_(width), height_(height), cells_(Count(width, height), fill) {}
  Grid(int width, int height, std::vector<T> cells)
      : width_(width), height_(height), cells_(std::move(cells)) {
    STAC_CHECK_EQ(cells_.size(), Count(width, height));
  }

  int width() const { return width_; }
  int height() const { return height_; }
  size_t size() const { return cells_.size(); }
  bool empty() const { return cells_.empty(); }
  bool SameSize(int width, int height) const { return width_ == width && height_ == height; }
  template <typename U>
  bool SameSize(const Grid<U>& other) const {
    return SameSize(other.width(), other.height());
  }

  T& operator()(int x, int y) { return cells_[static_cast<size_t>(y) * width_ + x]; }
  const T& operator()(int x, int y) const { return cells_[static_cast<size_t>(y) * width_ + x]; }
  T& operator[](size_t i) { return cells_[i]; }
  const T& operator[](size_t i) const { return cells_[i]; }
  // The cell nearest to (x, y), which may lie outside.
  const T& Clamped(int x, int y) const {
    return (*this)(std::clamp(x, 0, width_ - 1), std::clamp(y, 0, height_ - 1));
  }

  std::span<T> Row(int y) { return {data() + static_cast<size_t>(y) * width_, size_t(width_)}; }
  std::span<const T> Row(int y) const {
    return {data() + static_cast<size_t>(y) * width_, size_t(width_)};
  }
  T* data() { return cells_.data(); }
  const T* data() const { return cells_.data(); }
  std::span<T> cells() { return cells_; }
  std::span<const T> cells() const { return cells_; }
  auto begin() { return cells_.begin(); }
  auto end() { return cells_.end(); }
  auto begin() const { return cells_.begin(); }
  auto end() const { return cells_.end(); }

  // Changes the size, reusing the memory; the contents become unspecified.
  void Resize(int width, int height) {
    cells_.resize(Count(width, height));
    width_ = width;
    height_ = height;
  }

  friend bool operator==(const Grid&, const Grid&) = default;

 private:
  static size_t Count(int width, int height) {
    STAC_CHECK_GE(width, 0);
    STAC_CHECK_GE(height, 0);
    return static_cast<size_t>(width) * static_cast<size_t>(height);
  }

  int width_ = 0;
  int height_ = 0;
  std::vector<T> cells_;
};

}  // namespace stac
