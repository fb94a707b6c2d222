#pragma once

#include <vector>

namespace stac {

// The L levels of section IV-A. All tables q_n^l = 2 B_l / (M |g_n|) are one shape times a scalar,
// so level l is the shape (scaling matrices) at one QP: QP_l = QP_0 + 6 log2(B_l / B_0).
// Level 0 is the finest.
class LevelLadder {
 public:
  // `count` levels (2..kMaxLevels) spread evenly over [min_qp, max_qp].
  LevelLadder(int count, double min_qp, double max_qp);

  int count() const { return count_; }
  double min_qp() const { return min_qp_; }
  double max_qp() const { return max_qp_; }
  double Qp(int level) const;         // unrounded
  int NearestLevel(double qp) const;  // clamped to 0..count-1
  int middle() const { return count_ / 2; }

 private:
  int count_;
  double min_qp_;
  double max_qp_;
};

// Luma quantization step of H.264 at a QP (0.625 at 0, doubling every 6).
double StepOfQp(double qp);

}  // namespace stac
