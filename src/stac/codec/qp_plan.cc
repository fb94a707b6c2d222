#include "stac/codec/qp_plan.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "stac/base/check.h"

namespace stac {
namespace {

// How far the sum of a row's rounding errors may drift before the other neighbour on the grid is
// taken. Larger values make longer runs of one QP: a map that alternates every macroblock costs
// more bits than one in runs of a few macroblocks, at the same mean.
constexpr float kLargestDebt = 3.0f;

// Adds to each block of kSize x kSize samples of row `j` of blocks the sum of its squared
// differences from the mean; samples repeat at the picture's border, as x264 pads it. Columns are
// summed first: those are long loops of vector instructions. `sums` and `squares` are work memory.
template <int kSize>
void AddAcEnergy(const PlaneView& plane, int j, std::vector<uint16_t>& sums,
                 std::vector<uint32_t>& squares, std::span<uint32_t> energy) {
  const int width = plane.width;
  sums.assign(static_cast<size_t>(width), 0);
  squares.assign(static_cast<size_t>(width), 0);
  uint16_t* __restrict sum = sums.data();
  uint32_t* __restrict square = squares.data();
  for (int y = j * kSize; y < (j + 1) * kSize; ++y) {
    const uint8_t* __restrict row = plane.Row(std::min(y, plane.height - 1));
    for (int x = 0; x < width; ++x) {
      const uint16_t sample = row[x];
      sum[x] = static_cast<uint16_t>(sum[x] + sample);
      square[x] += static_cast<uint16_t>(sample * sample);
    }
  }
  for (size_t i = 0; i < energy.size(); ++i) {
    uint32_t total = 0, total_squares = 0;
    const int x0 = static_cast<int>(i) * kSize;
    for (int x = x0; x < x0 + kSize; ++x) {
      total += sum[std::min(x, width - 1)];
      total_squares += square[std::min(x, width - 1)];
    }
    energy[i] += total_squares - static_cast<uint32_t>(uint64_t{total} * total / (kSize * kSize));
  }
}

}  // namespace

QpMap SnapToParity(const Grid<float>& wanted_qp, int anchor_qp, int min_qp, int max_qp) {
  STAC_CHECK(0 <= min_qp && min_qp < max_qp && max_qp <= kMaxQp);
  const int lowest = min_qp + ((min_qp ^ anchor_qp) & 1);
  const int highest = max_qp - ((max_qp ^ anchor_qp) & 1);
  QpMap snapped(wanted_qp.width(), wanted_qp.height());
  for (int y = 0; y < wanted_qp.height(); ++y) {
    float debt = 0;
    int last = -1;
    for (int x = 0; x < wanted_qp.width(); ++x) {
      STAC_CHECK(std::isfinite(wanted_qp(x, y)));
      const float wanted =
          std::clamp(wanted_qp(x, y), static_cast<float>(lowest), static_cast<float>(highest));
      const int below = lowest + 2 * static_cast<int>((wanted - lowest) / 2);
      const int above = std::min(below + 2, highest);
      const auto other = [&](int qp) { return qp == below ? above : below; };
      int qp = wanted - below <= above - wanted ? below : above;
      // Stay with the neighbour's QP while that keeps the row's mean.
      if (last == other(qp)) qp = last;
      if (std::abs(debt + wanted - qp) > kLargestDebt &&
          std::abs(debt + wanted - other(qp)) < std::abs(debt + wanted - qp)) {
        qp = other(qp);
      }
      debt += wanted - qp;
      last = qp;
      snapped(x, y) = static_cast<uint8_t>(qp);
    }
  }
  return snapped;
}

QpMap RoundedQp(const Grid<float>& wanted_qp) {
  QpMap rounded(wanted_qp.width(), wanted_qp.height());
  for (size_t i = 0; i < rounded.size(); ++i) {
    STAC_CHECK(std::isfinite(wanted_qp[i]));
    rounded[i] = static_cast<uint8_t>(std::lround(std::clamp(wanted_qp[i], 1.f, float(kMaxQp))));
  }
  return rounded;
}

int AnchorQp(const QpMap& planned) {
  STAC_CHECK(!planned.empty());
  const int first = planned[0];
  const double steps = (MeanQp(planned) - first) / 2;
  return std::clamp(first + 2 * static_cast<int>(std::lround(steps)), first & 1,
                    kMaxQp - 1 + (first & 1));
}

double MeanQp(const QpMap& qp) {
  int64_t sum = 0;
  for (const uint8_t value : qp) sum += value;
  return qp.empty() ? 0.0 : static_cast<double>(sum) / static_cast<double>(qp.size());
}

Grid<float> VarianceAqOffsets(const Frame& frame, double strength) {
  const int columns = (frame.width() + kMacroblock - 1) / kMacroblock;
  const int rows = (frame.height() + kMacroblock - 1) / kMacroblock;
  Grid<float> offsets(columns, rows);
  std::vector<uint16_t> sums;
  std::vector<uint32_t> squares, energy(static_cast<size_t>(columns));
  for (int j = 0; j < rows; ++j) {
    std::fill(energy.begin(), energy.end(), 0);
    AddAcEnergy<16>(frame.plane(0), j, sums, squares, energy);
    AddAcEnergy<8>(frame.plane(1), j, sums, squares, energy);
    AddAcEnergy<8>(frame.plane(2), j, sums, squares, energy);
    for (int i = 0; i < columns; ++i) {
      const double bits = std::log2(static_cast<double>(std::max(energy[i], 1u)));
      offsets(i, j) = static_cast<float>(strength * 1.0397 * (bits - 14.427));
    }
  }
  return offsets;
}

void QpAudit::Add(const QpAudit& other) {
  macroblocks += other.macroblocks;
  coded += other.coded;
  inherited += other.inherited;
  mismatched += other.mismatched;
  followed += other.followed;
}

QpAudit AuditQp(const QpMap& planned, const QpMap& decoded, int first_qp) {
  STAC_CHECK(planned.SameSize(decoded));
  QpAudit audit;
  audit.macroblocks = static_cast<int64_t>(planned.size());
  int before = first_qp;
  for (int y = 0; y < planned.height(); ++y) {
    for (int x = 0; x < planned.width(); ++x) {
      const int plan = planned(x, y);
      const int seen = decoded(x, y);
      // Slices start at a row's first macroblock, with the frame's QP.
      const bool may_start_slice = x == 0;
      if (seen == plan) {
        ++audit.coded;
        if (before != plan) ++audit.followed;
      } else if (seen == before || (may_start_slice && seen == first_qp)) {
        ++audit.inherited;
      } else if (seen == 0) {
        // Raw samples (I_PCM) have no QP: decoders report 0 and go on from the QP before.
        ++audit.inherited;
        continue;
      } else {
        ++audit.mismatched;
      }
      before = seen;
    }
  }
  return audit;
}

}  // namespace stac
