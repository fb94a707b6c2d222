// The x264 encoder and the FFmpeg decoder together.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <random>

#include "stac/base/file.h"
#include "stac/codec/nal_units.h"
#include "stac/codec/qp_plan.h"
#include "stac/codec/test_pictures.h"
#include "stac/codec/video_decoder.h"
#include "stac/codec/video_encoder.h"

namespace stac {
namespace {

int MbColumns(const Frame& frame) { return (frame.width() + 15) / 16; }
int MbRows(const Frame& frame) { return (frame.height() + 15) / 16; }

QpMap RandomPlan(const Frame& frame, int lowest, int highest, std::mt19937& random) {
  QpMap plan(MbColumns(frame), MbRows(frame));
  for (uint8_t& qp : plan) qp = lowest + 2 * (random() % ((highest - lowest) / 2 + 1));
  return plan;
}

QpMap SmoothPlan(const Frame& frame, int t) {
  Grid<float> wanted(MbColumns(frame), MbRows(frame));
  for (int y = 0; y < wanted.height(); ++y) {
    for (int x = 0; x < wanted.width(); ++x) {
      wanted(x, y) = 30 + 7 * std::sin(x * 0.3f + t) * std::cos(y * 0.25f);
    }
  }
  return SnapToParity(wanted, 30);
}

EncoderOptions OptionsFor(const Frame& frame) {
  EncoderOptions options;
  options.width = frame.width();
  options.height = frame.height();
  options.color = frame.color();
  options.want_reconstruction = true;
  return options;
}

struct Outcome {
  QpAudit intra, inter;
  int64_t bytes = 0;
};

// Encodes and decodes all frames, frame 0 and every `idr_period`-th as IDR. Expects the decoder's
// picture to be the encoder's, bit for bit, and the colour to be kept.
Outcome RunLoop(const std::vector<Frame>& frames, const EncoderOptions& options, int idr_period,
                const std::function<QpMap(int)>& plan_of, int decoder_threads = 1) {
  Outcome outcome;
  auto encoder = MakeX264Encoder(options);
  auto decoder = MakeH264Decoder({.want_qp = true, .threads = decoder_threads});
  EXPECT_TRUE(encoder) << encoder.error().message;
  EXPECT_TRUE(decoder);
  if (!encoder || !decoder) return outcome;
  for (size_t t = 0; t < frames.size(); ++t) {
    const QpMap plan = plan_of(static_cast<int>(t));
    const bool idr = t % idr_period == 0;
    const bool planned = options.mode == RateMode::kQpMap;
    const auto encoded = (*encoder)->Encode(frames[t], planned ? &plan : nullptr, idr);
    EXPECT_TRUE(encoded) << encoded.error().message;
    if (!encoded) return outcome;
    EXPECT_EQ(encoded->idr, idr);
    EXPECT_EQ(encoded->id, frames[t].id);
    const auto decoded = (*decoder)->Decode(encoded->access_unit);
    EXPECT_TRUE(decoded) << decoded.error().message;
    if (!decoded) return outcome;
    EXPECT_EQ(decoded->idr, idr);
    EXPECT_EQ(decoded->frame.color(), frames[t].color());
    EXPECT_TRUE(SamePixels(decoded->frame, encoded->reconstruction)) << "frame " << t;
    EXPECT_TRUE(decoded->qp.has_value());
    if (!decoded->qp) return outcome;
    if (planned) {
      EXPECT_DOUBLE_EQ(encoded->mean_qp, MeanQp(plan));
      (idr ? outcome.intra : outcome.inter).Add(AuditQp(plan, *decoded->qp, AnchorQp(plan)));
    }
    outcome.bytes += static_cast<int64_t>(encoded->access_unit.size());
  }
  return outcome;
}

void Print(const char* name, const Outcome& outcome) {
  for (const auto& [kind, audit] :
       {std::pair("intra", outcome.intra), std::pair("inter", outcome.inter)}) {
    std::printf(
        "  %-28s %s: %lld macroblocks, %lld as planned (%lld proven), %lld inherited, %lld "
        "mismatched\n",
        name, kind, static_cast<long long>(audit.macroblocks), static_cast<long long>(audit.coded),
        static_cast<long long>(audit.followed), static_cast<long long>(audit.inherited),
        static_cast<long long>(audit.mismatched));
  }
}

TEST(QpPlanInStreamTest, EveryMacroblockOfNoiseCarriesItsPlannedQp) {
  // Noise this strong leaves no macroblock without coefficients: nothing may be inherited.
  const auto frames = MovingTexture(320, 192, 6, 25);
  for (const char* preset : {"superfast", "veryfast", "medium", "slow", "veryslow"}) {
    EncoderOptions options = OptionsFor(frames[0]);
    options.preset = preset;
    std::mt19937 random(11);
    const Outcome outcome = RunLoop(frames, options, 3, [&](int t) {
      return RandomPlan(frames[0], 14 + t % 2, 34 + t % 2, random);
    });
    Print(preset, outcome);
    EXPECT_EQ(outcome.intra.mismatched + outcome.inter.mismatched, 0) << preset;
    EXPECT_EQ(outcome.intra.inherited + outcome.inter.inherited, 0) << preset;
    EXPECT_GT(outcome.intra.followed, outcome.intra.macroblocks / 2);
  }
}

}  // namespace
}  // namespace stac
