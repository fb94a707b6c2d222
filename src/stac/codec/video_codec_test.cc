// The x264 encoder and the FFmpeg decoder together.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <random>

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
  auto decoder = MakeVideoDecoder({.want_qp = true, .threads = decoder_threads});
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

void Print(const std::string& name, const Outcome& outcome) {
  for (const auto& [kind, audit] :
       {std::pair("intra", outcome.intra), std::pair("inter", outcome.inter)}) {
    std::printf(
        "  %-28s %s: %lld macroblocks, %lld as planned (%lld proven), %lld inherited, %lld "
        "mismatched\n",
        name.c_str(), kind, static_cast<long long>(audit.macroblocks),
        static_cast<long long>(audit.coded), static_cast<long long>(audit.followed),
        static_cast<long long>(audit.inherited), static_cast<long long>(audit.mismatched));
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
    EXPECT_EQ(outcome.intra.mismatched + outcome.inter.mismatched, 0) << preset;
    EXPECT_EQ(outcome.intra.inherited + outcome.inter.inherited, 0) << preset;
    EXPECT_GT(outcome.intra.followed, outcome.intra.macroblocks / 2);
    EXPECT_GT(outcome.inter.followed, outcome.inter.macroblocks / 2);
  }
}

TEST(QpPlanInStreamTest, RealClipHasNoMismatch) {
  auto frames = CamVidFrames(12);
  if (frames.empty()) GTEST_SKIP() << "skipped: no STAC_DATA";
  for (const char* extra : {"", "trellis=1:ref=3:subme=6"}) {
    for (const bool with_matrices : {false, true}) {
      for (const bool smooth : {false, true}) {
        EncoderOptions options = OptionsFor(frames[0]);
        options.preset = *extra == 0 ? "medium" : "veryfast";
        options.extra = extra;
        if (with_matrices) options.matrices = JvtMatrices();
        std::mt19937 random(5);
        const Outcome outcome = RunLoop(frames, options, 6, [&](int t) {
          return smooth ? SmoothPlan(frames[0], t) : RandomPlan(frames[0], 22, 44, random);
        });
        Print(fmt::format("{} {} {}", options.preset, with_matrices ? "jvt" : "flat",
                          smooth ? "smooth" : "random"),
              outcome);
        EXPECT_EQ(outcome.intra.mismatched + outcome.inter.mismatched, 0);
        EXPECT_GT(outcome.intra.coded, outcome.intra.macroblocks * 7 / 10);
        EXPECT_GT(outcome.intra.followed, outcome.intra.macroblocks / 10);
        EXPECT_GT(outcome.inter.followed, outcome.inter.macroblocks / 20);
      }
    }
  }
}

TEST(QpPlanInStreamTest, FinePlansLeaveNearlyNothingInherited) {
  auto frames = CamVidFrames(4);
  if (frames.empty()) GTEST_SKIP() << "skipped: no STAC_DATA";
  std::mt19937 random(5);
  const Outcome outcome = RunLoop(frames, OptionsFor(frames[0]), 1,
                                  [&](int) { return RandomPlan(frames[0], 6, 18, random); });
  Print("fine plan", outcome);
  EXPECT_EQ(outcome.intra.mismatched, 0);
  EXPECT_LT(outcome.intra.inherited, outcome.intra.macroblocks / 100);
}

TEST(QpPlanInStreamTest, SkipsAreNotMismatches) {
  // A still scene: nearly every macroblock of the P-frames is skipped.
  const Frame still = MovingTexture(320, 192, 1, 2)[0];
  const std::vector<Frame> frames(8, still);
  std::mt19937 random(3);
  const Outcome outcome =
      RunLoop(frames, OptionsFor(still), 8, [&](int) { return RandomPlan(still, 20, 44, random); });
  EXPECT_EQ(outcome.inter.mismatched, 0);
  EXPECT_GT(outcome.inter.inherited, outcome.inter.macroblocks / 4);
}

TEST(QpPlanInStreamTest, AnotherPlanIsSeen) {
  const auto frames = MovingTexture(320, 192, 1, 25);
  std::mt19937 random(8);
  const QpMap coded = RandomPlan(frames[0], 20, 40, random);
  const QpMap other = RandomPlan(frames[0], 20, 40, random);
  const QpMap uniform(coded.width(), coded.height(), 30);
  auto encoder = MakeX264Encoder(OptionsFor(frames[0]));
  auto decoder = MakeVideoDecoder({.want_qp = true});
  const auto wrong = (*decoder)->Decode((*encoder)->Encode(frames[0], &coded, true)->access_unit);
  EXPECT_GT(AuditQp(other, *wrong->qp, AnchorQp(other)).mismatched, 100);
  // A plan that the encoder did not hear of: nothing follows it.
  const auto deaf = (*decoder)->Decode((*encoder)->Encode(frames[0], &uniform, true)->access_unit);
  const QpAudit audit = AuditQp(other, *deaf->qp, 30);
  EXPECT_EQ(audit.followed, 0);
  EXPECT_GT(audit.inherited, audit.macroblocks / 2);
}

TEST(QpPlanInStreamTest, OddMacroblockSizesSlicesAndColours) {
  int t = 0;
  for (const auto& [width, height] : {std::pair(1242, 374), std::pair(34, 18), std::pair(16, 16)}) {
    for (const auto matrix : {ColorMatrix::kBt601, ColorMatrix::kBt709}) {
      const ColorSpec color{matrix, ++t % 2 ? ColorRange::kFull : ColorRange::kLimited};
      const auto frames = MovingTexture(width, height, 3, 4, color);
      EncoderOptions options = OptionsFor(frames[0]);
      options.threads = 1 + t % 2;
      options.chroma_qp_offset = t % 3 - 1;
      options.matrices = JvtMatrices();
      const Outcome outcome = RunLoop(
          frames, options, 2, [&](int i) { return SmoothPlan(frames[0], i); }, options.threads);
      EXPECT_EQ(outcome.intra.mismatched + outcome.inter.mismatched, 0);
      EXPECT_GT(outcome.intra.coded, 0);
    }
  }
}

TEST(QpPlanInStreamTest, LopsidedMatricesAreTheSameOnBothSides) {
  // Horizontal and vertical frequencies differ, and so do all lists.
  const auto frames = MovingTexture(160, 96, 4, 12);
  EncoderOptions options = OptionsFor(frames[0]);
  options.matrices = JvtMatrices();
  ScalingMatrices& m = *options.matrices;
  for (int i = 0; i < 16; ++i) {
    m.intra_y4[i] = static_cast<uint8_t>(12 + 5 * (i % 4) + i / 4);
    m.intra_c4[i] = static_cast<uint8_t>(12 + i % 4 + 6 * (i / 4));
    m.inter_y4[i] = static_cast<uint8_t>(14 + 3 * (i % 4));
    m.inter_c4[i] = static_cast<uint8_t>(14 + 4 * (i / 4));
  }
  for (int i = 0; i < 64; ++i) {
    m.intra_y8[i] = static_cast<uint8_t>(12 + 5 * (i % 8) + i / 8);
    m.inter_y8[i] = static_cast<uint8_t>(12 + i % 8 + 4 * (i / 8));
  }
  const Outcome outcome =
      RunLoop(frames, options, 2, [&](int t) { return SmoothPlan(frames[0], t); });
  EXPECT_EQ(outcome.intra.mismatched + outcome.inter.mismatched, 0);
}

TEST(QpPlanInStreamTest, VarianceAqOffsetsAreThoseOfX264) {
  // x264's own AQ, at full strength, on a uniform plan, against ours. x264 keeps the QP of the
  // macroblock before when the two differ by one.
  auto frames = CamVidFrames(1);
  if (frames.empty()) frames = MovingTexture(480, 360, 1, 8);
  EncoderOptions options = OptionsFor(frames[0]);
  options.extra = "aq-strength=1.0";
  auto encoder = MakeX264Encoder(options);
  auto decoder = MakeVideoDecoder({.want_qp = true});
  const Grid<float> offsets = VarianceAqOffsets(frames[0], 1.0);
  const QpMap uniform(offsets.width(), offsets.height(), 26);
  const auto decoded =
      (*decoder)->Decode((*encoder)->Encode(frames[0], &uniform, true)->access_unit);
  ASSERT_TRUE(decoded);
  int far_off = 0;
  for (size_t i = 0; i < offsets.size(); ++i) {
    const float wanted = std::clamp(26 + offsets[i], 0.0f, 51.0f);
    far_off += std::abs((*decoded->qp)[i] - wanted) > 1.51f;
  }
  EXPECT_LT(far_off, static_cast<int>(offsets.size()) / 50);
}

}  // namespace
}  // namespace stac
