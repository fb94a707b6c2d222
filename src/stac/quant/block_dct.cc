#include "stac/quant/block_dct.h"

#include <cmath>
#include <numbers>

namespace stac {
namespace {

// forward(k, i) = c_k cos((2i + 1) k pi / 2N), rows of unit length.
template <int N>
struct Basis {
  float forward[N * N];
  float transposed[N * N];
  Basis() {
    for (int k = 0; k < N; ++k) {
      for (int i = 0; i < N; ++i) {
        const double scale = std::sqrt((k == 0 ? 1.0 : 2.0) / N);
        const double value = scale * std::cos((2 * i + 1) * k * std::numbers::pi / (2 * N));
        forward[k * N + i] = transposed[i * N + k] = static_cast<float>(value);
      }
    }
  }
};

template <int N>
const Basis<N>& SharedBasis() {
  static const Basis<N> basis;
  return basis;
}

// out = left * right (N x N, row-major; out is neither of them). Row by row, so that the inner loop
// runs along contiguous columns.
template <int N>
inline void Multiply(const float* left, const float* right, float* out) {
  for (int k = 0; k < N; ++k) {
    float row[N] = {};
    for (int i = 0; i < N; ++i) {
      const float weight = left[k * N + i];
      for (int x = 0; x < N; ++x) row[x] += weight * right[i * N + x];
    }
    std::copy_n(row, N, out + k * N);
  }
}

// Basis * block * basis^T.
template <int N>
void Forward(float* block) {
  const Basis<N>& basis = SharedBasis<N>();
  float columns[N * N];
  Multiply<N>(basis.forward, block, columns);
  Multiply<N>(columns, basis.transposed, block);
}

template <int N>
void Inverse(float* block) {
  const Basis<N>& basis = SharedBasis<N>();
  float columns[N * N];
  Multiply<N>(basis.transposed, block, columns);
  Multiply<N>(columns, basis.forward, block);
}

template <int N>
Grid<float> PlaneDct(const Grid<float>& plane) {
  const int columns = (plane.width() + N - 1) / N;
  const int rows = (plane.height() + N - 1) / N;
  Grid<float> coefficients(columns * N, rows * N);
  float block[N * N];
  for (int by = 0; by < rows; ++by) {
    for (int bx = 0; bx < columns; ++bx) {
      const int width = std::min(N, plane.width() - bx * N);
      const int height = std::min(N, plane.height() - by * N);
      if (width < N || height < N) std::fill_n(block, N * N, 0.f);
      for (int y = 0; y < height; ++y) {
        std::copy_n(&plane(bx * N, by * N + y), width, block + y * N);
      }
      Forward<N>(block);
      for (int y = 0; y < N; ++y) {
        std::copy_n(block + y * N, N, &coefficients(bx * N, by * N + y));
      }
    }
  }
  return coefficients;
}

}  // namespace

void ForwardDct4(std::span<float, 16> block) { Forward<4>(block.data()); }
void ForwardDct8(std::span<float, 64> block) { Forward<8>(block.data()); }
void InverseDct4(std::span<float, 16> block) { Inverse<4>(block.data()); }
void InverseDct8(std::span<float, 64> block) { Inverse<8>(block.data()); }

Grid<float> BlockDct(const Grid<float>& plane, int size) {
  STAC_CHECK(size == 4 || size == 8);
  return size == 4 ? PlaneDct<4>(plane) : PlaneDct<8>(plane);
}

Grid<double> SumMagnitudes(const Grid<float>& values, int cell) {
  STAC_CHECK_GT(cell, 0);
  Grid<double> sums((values.width() + cell - 1) / cell, (values.height() + cell - 1) / cell);
  for (int y = 0; y < values.height(); ++y) {
    const auto row = values.Row(y);
    const auto row_sums = sums.Row(y / cell);
    for (int cx = 0; cx < sums.width(); ++cx) {
      const int end = std::min((cx + 1) * cell, values.width());
      float sum = 0;
      for (int x = cx * cell; x < end; ++x) sum += std::abs(row[x]);
      row_sums[cx] += sum;
    }
  }
  return sums;
}

}  // namespace stac
