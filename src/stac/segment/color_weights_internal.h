#pragma once

#include "stac/video/frame.h"

namespace stac {

// How luma, Cb and Cr, in steps of 8-bit samples, add to R, G and B in 0..1.
struct RgbWeights {
  double luma;
  double r_from_cr, g_from_cb, g_from_cr, b_from_cb;
  int black;  // luma's sample
};

// `scale` times as large.
inline RgbWeights WeightsOf(const ColorSpec& color, double scale = 1) {
  const bool bt601 = color.matrix == ColorMatrix::kBt601;
  const double kr = bt601 ? 0.299 : 0.2126;
  const double kb = bt601 ? 0.114 : 0.0722;
  const double kg = 1 - kr - kb;
  const bool limited = color.range == ColorRange::kLimited;
  const double chroma = scale / (limited ? 224 : 255);
  return {.luma = scale / (limited ? 219 : 255),
          .r_from_cr = 2 * (1 - kr) * chroma,
          .g_from_cb = -2 * kb * (1 - kb) / kg * chroma,
          .g_from_cr = -2 * kr * (1 - kr) / kg * chroma,
          .b_from_cb = 2 * (1 - kb) * chroma,
          .black = limited ? 16 : 0};
}

}  // namespace stac
