#include "stac/codec/video_encoder.h"

namespace stac {
namespace {

// The standard's default lists depend on the diagonal (row + column) only; in the 8x8 lists the
// middle of the third diagonal differs.
template <size_t size, size_t diagonals>
std::array<uint8_t, size * size> FromDiagonals(const uint8_t (&values)[diagonals]) {
  static_assert(diagonals == 2 * size - 1);
  std::array<uint8_t, size * size> matrix;
  for (size_t i = 0; i < size * size; ++i) matrix[i] = values[i / size + i % size];
  return matrix;
}

}  // namespace

ScalingMatrices FlatMatrices() {
  ScalingMatrices flat;
  for (auto* list : {&flat.intra_y4, &flat.intra_c4, &flat.inter_y4, &flat.inter_c4}) {
    list->fill(16);
  }
  flat.intra_y8.fill(16);
  flat.inter_y8.fill(16);
  return flat;
}

ScalingMatrices JvtMatrices() {
  ScalingMatrices jvt;
  jvt.intra_y4 = FromDiagonals<4>({6, 13, 20, 28, 32, 37, 42});
  jvt.inter_y4 = FromDiagonals<4>({10, 14, 20, 24, 27, 30, 34});
  jvt.intra_c4 = jvt.intra_y4;
  jvt.inter_c4 = jvt.inter_y4;
  jvt.intra_y8 = FromDiagonals<8>({6, 10, 13, 16, 18, 23, 25, 27, 29, 31, 33, 36, 38, 40, 42});
  jvt.inter_y8 = FromDiagonals<8>({9, 13, 15, 17, 19, 21, 22, 24, 25, 27, 28, 30, 32, 33, 35});
  jvt.intra_y8[9] = 11;
  jvt.inter_y8[9] = 13;
  return jvt;
}

}  // namespace stac
