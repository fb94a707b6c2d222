// The encoder's options and what it writes; the pictures are checked in video_codec_test.cc.
#include <gtest/gtest.h>
#include <malloc.h>

#include <functional>

#include "stac/codec/nal_units.h"
#include "stac/codec/test_pictures.h"
#include "stac/codec/video_decoder.h"
#include "stac/codec/video_encoder.h"

namespace stac {
namespace {

EncoderOptions OptionsFor(const Frame& frame, RateMode mode = RateMode::kQpMap) {
  EncoderOptions options;
  options.width = frame.width();
  options.height = frame.height();
  options.color = frame.color();
  options.mode = mode;
  return options;
}

QpMap Uniform(const Frame& frame, int qp) {
  return QpMap((frame.width() + 15) / 16, (frame.height() + 15) / 16, static_cast<uint8_t>(qp));
}

// The scaling lists in a picture parameter set (H.264 7.3.2.2), in zigzag order: intra Y, Cb, Cr,
// inter Y, Cb, Cr (4x4), intra Y, inter Y (8x8). Lists that are not there repeat the one before.
std::vector<std::vector<int>> ListsOf(const Bytes& access_unit) {
  std::vector<std::vector<int>> lists;
  for (const NalUnit& unit : SplitNalUnits(access_unit)) {
    if (unit.type() != kNalPps) continue;
    BitReader bits(unit);
    bits.Ue();
    bits.Ue();
    bits.Bits(2);
    bits.Ue();
    bits.Ue();
    bits.Ue();
    bits.Bits(3);
    bits.Se();
    bits.Se();
    bits.Se();
    bits.Bits(3);
    EXPECT_EQ(bits.Bits(1), 1u) << "8x8 transform";
    EXPECT_EQ(bits.Bits(1), 1u) << "scaling matrix present";
    for (int i = 0; i < 8; ++i) {
      const size_t size = i < 6 ? 16 : 64;
      std::vector<int> list;
      if (bits.Bits(1) == 1u) {
        int last = 8;
        int next = 8;
        while (list.size() < size) {
          if (next != 0) next = (last + bits.Se().value_or(0)) & 255;
          if (next != 0) last = next;
          list.push_back(last);
        }
      } else if (i > 0) {
        list = lists.back();
      }
      lists.push_back(list);
    }
  }
  return lists;
}

TEST(X264EncoderTest, MatricesReachTheStreamInRasterOrder) {
  ScalingMatrices matrices;
  for (int i = 0; i < 16; ++i) {
    matrices.intra_y4[i] = static_cast<uint8_t>(10 + i);
    matrices.intra_c4[i] = static_cast<uint8_t>(120 + i);
    matrices.inter_y4[i] = static_cast<uint8_t>(80 + i);
    matrices.inter_c4[i] = static_cast<uint8_t>(60 + i);
  }
  for (int i = 0; i < 64; ++i) {
    matrices.intra_y8[i] = static_cast<uint8_t>(100 + i);
    matrices.inter_y8[i] = static_cast<uint8_t>(30 + i);
  }
  const Frame frame = MovingTexture(64, 48, 1, 5)[0];
  EncoderOptions options = OptionsFor(frame);
  options.matrices = matrices;
  const QpMap qp = Uniform(frame, 30);
  const auto lists = ListsOf((*MakeX264Encoder(options))->Encode(frame, &qp, true)->access_unit);
  ASSERT_EQ(lists.size(), 8u);
  // The frame zigzag starts with horizontal frequency 1, then vertical frequency 1.
  const int zigzag4[16] = {0, 1, 4, 8, 5, 2, 3, 6, 9, 12, 13, 10, 7, 11, 14, 15};
  for (int i = 0; i < 16; ++i) {
    EXPECT_EQ(lists[0][i], matrices.intra_y4[zigzag4[i]]);
    EXPECT_EQ(lists[1][i], matrices.intra_c4[zigzag4[i]]);
    EXPECT_EQ(lists[2][i], matrices.intra_c4[zigzag4[i]]);
    EXPECT_EQ(lists[3][i], matrices.inter_y4[zigzag4[i]]);
    EXPECT_EQ(lists[5][i], matrices.inter_c4[zigzag4[i]]);
  }
  const int zigzag8[8] = {0, 1, 8, 16, 9, 2, 3, 10};
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(lists[6][i], matrices.intra_y8[zigzag8[i]]);
    EXPECT_EQ(lists[7][i], matrices.inter_y8[zigzag8[i]]);
  }
}

TEST(X264EncoderTest, JvtMatricesAreX264sOwn) {
  const auto frames = MovingTexture(128, 96, 2, 8);
  EncoderOptions ours = OptionsFor(frames[0]);
  ours.want_reconstruction = true;
  EncoderOptions theirs = ours;
  ours.matrices = JvtMatrices();
  theirs.extra = "cqm=jvt";
  auto a = MakeX264Encoder(ours);
  auto b = MakeX264Encoder(theirs);
  const QpMap qp = Uniform(frames[0], 32);
  for (const Frame& frame : frames) {
    EXPECT_TRUE(SamePixels((*a)->Encode(frame, &qp, false)->reconstruction,
                           (*b)->Encode(frame, &qp, false)->reconstruction));
  }
}

TEST(X264EncoderTest, SmallMatrixEntriesRaiseTheLowestQp) {
  const Frame frame = MovingTexture(64, 48, 1, 5)[0];
  EncoderOptions options = OptionsFor(frame);
  options.matrices = FlatMatrices();
  options.matrices->intra_y4.fill(2);
  auto encoder = MakeX264Encoder(options);
  ASSERT_TRUE(encoder) << encoder.error().message;
  const QpMap fine = Uniform(frame, 0);
  EXPECT_FALSE((*encoder)->Encode(frame, &fine, true));
  const QpMap coarse = Uniform(frame, 30);
  EXPECT_TRUE((*encoder)->Encode(frame, &coarse, true));
  // With flat matrices every QP is there.
  options.matrices.reset();
  EXPECT_TRUE((*MakeX264Encoder(options))->Encode(frame, &fine, true));
}

TEST(X264EncoderTest, ParameterSetsPrecedeEveryIdrAndNothingElseIsAdded) {
  const auto frames = MovingTexture(64, 48, 5, 5);
  for (const RateMode mode : {RateMode::kQpMap, RateMode::kCrf}) {
    auto encoder = MakeX264Encoder(OptionsFor(frames[0], mode));
    const QpMap qp = Uniform(frames[0], 30);
    for (int t = 0; t < 5; ++t) {
      const bool idr = t == 0 || t == 3;
      const auto encoded =
          (*encoder)->Encode(frames[t], mode == RateMode::kQpMap ? &qp : nullptr, idr);
      std::vector<int> types;
      for (const NalUnit& unit : SplitNalUnits(encoded->access_unit)) {
        types.push_back(unit.type());
      }
      EXPECT_EQ(types, idr ? (std::vector<int>{kNalSps, kNalPps, kNalIdrSlice})
                           : std::vector<int>{kNalSlice});
    }
  }
}

TEST(X264EncoderTest, AccessUnitsAreFoundInAWholeStream) {
  const auto frames = MovingTexture(64, 48, 7, 5);
  EncoderOptions options = OptionsFor(frames[0], RateMode::kCrf);
  options.threads = 2;
  auto encoder = MakeX264Encoder(options);
  std::vector<Bytes> units;
  Bytes stream;
  for (int t = 0; t < 7; ++t) {
    units.push_back((*encoder)->Encode(frames[t], nullptr, t % 3 == 0)->access_unit);
    stream.insert(stream.end(), units.back().begin(), units.back().end());
  }
  const auto found = SplitAccessUnits(stream);
  ASSERT_EQ(found.size(), units.size());
  for (size_t i = 0; i < units.size(); ++i) {
    EXPECT_EQ(Bytes(found[i].begin(), found[i].end()), units[i]);
  }
}

TEST(X264EncoderTest, BadOptionsAreRefusedWithASentence) {
  const Frame frame = MovingTexture(64, 48, 1, 5)[0];
  const auto refusal = [&](const std::function<void(EncoderOptions&)>& change) {
    EncoderOptions options = OptionsFor(frame);
    change(options);
    const auto encoder = MakeX264Encoder(options);
    return encoder ? std::string() : encoder.error().message;
  };
  EXPECT_EQ(refusal([](EncoderOptions&) {}), "");
  EXPECT_NE(refusal([](EncoderOptions& o) { o.width = 63; }).find("63x48"), std::string::npos);
  EXPECT_NE(refusal([](EncoderOptions& o) { o.fps = 0; }), "");
  EXPECT_NE(refusal([](EncoderOptions& o) { o.preset = "warp"; }).find("warp"), std::string::npos);
  EXPECT_NE(refusal([](EncoderOptions& o) { o.tune = "violin"; }), "");
  EXPECT_NE(refusal([](EncoderOptions& o) { o.preset = "ultrafast"; }), "");
  EXPECT_NE(refusal([](EncoderOptions& o) { o.preset.assign(1, '0'); }), "");
  EXPECT_NE(refusal([](EncoderOptions& o) { o.extra = "nonsense=1"; }).find("nonsense"),
            std::string::npos);
  EXPECT_NE(refusal([](EncoderOptions& o) { o.extra = "bframes=3"; }), "");
  EXPECT_NE(refusal([](EncoderOptions& o) { o.extra = "aq-mode=0"; }), "");
  EXPECT_NE(refusal([](EncoderOptions& o) { o.extra = "subme=10:trellis=2"; }), "");
  EXPECT_NE(refusal([](EncoderOptions& o) { o.chroma_qp_offset = 13; }), "");
  EXPECT_NE(refusal([](EncoderOptions& o) {
              o.matrices = FlatMatrices();
              o.matrices->inter_y8[5] = 0;
            }),
            "");
  auto encoder = MakeX264Encoder(OptionsFor(frame));
  const QpMap qp = Uniform(frame, 30);
  EXPECT_FALSE((*encoder)->Encode(MovingTexture(48, 48, 1, 5)[0], &qp, true));
  const ColorSpec other{ColorMatrix::kBt601, ColorRange::kFull};
  EXPECT_FALSE((*encoder)->Encode(MovingTexture(64, 48, 1, 5, other)[0], &qp, true));
  EXPECT_FALSE((*encoder)->SetBitrate(500));
  EXPECT_TRUE((*encoder)->Encode(frame, &qp, true));
  EXPECT_NE((*encoder)->Describe().find("medium zerolatency, QP map"), std::string::npos)
      << (*encoder)->Describe();
}

// x264 would say yes and go on as before.
TEST(X264EncoderTest, WithoutABufferTheBitrateStays) {
  EncoderOptions options = OptionsFor(MovingTexture(64, 48, 1, 8)[0], RateMode::kAbr);
  options.kbps = 100;
  EXPECT_FALSE(MakeX264Encoder(options).value()->SetBitrate(400));
}

TEST(X264EncoderTest, BitrateFollowsItsTarget) {
  const auto frames = MovingTexture(160, 96, 60, 8);
  EncoderOptions options = OptionsFor(frames[0], RateMode::kAbr);
  options.kbps = 100;
  options.vbv_seconds = 1;
  auto encoder = MakeX264Encoder(options);
  ASSERT_TRUE(encoder) << encoder.error().message;
  size_t before = 0;
  size_t after = 0;
  for (int t = 0; t < 60; ++t) {
    if (t == 30) {
      EXPECT_TRUE((*encoder)->SetBitrate(400));
    }
    const auto encoded = (*encoder)->Encode(frames[t], nullptr, t == 0);
    ASSERT_TRUE(encoded) << encoded.error().message;
    EXPECT_GT(encoded->mean_qp, 1);
    (t < 30 ? before : after) += encoded->access_unit.size();
  }
  EXPECT_GT(after, before * 3 / 2);
}

TEST(X264EncoderTest, CrfSetsTheQp) {
  const Frame frame = MovingTexture(160, 96, 1, 8)[0];
  double last = 0;
  for (const double crf : {18.0, 26.0, 34.0}) {
    EncoderOptions options = OptionsFor(frame, RateMode::kCrf);
    options.crf = crf;
    const auto encoded = (*MakeX264Encoder(options))->Encode(frame, nullptr, true);
    EXPECT_GT(encoded->mean_qp, last + 4);
    last = encoded->mean_qp;
  }
}

TEST(X264EncoderTest, TwoThousandFramesGrowNoMemory) {
  const auto frames = MovingTexture(64, 48, 20, 8);
  EncoderOptions options = OptionsFor(frames[0]);
  options.want_reconstruction = true;
  auto encoder = MakeX264Encoder(options);
  auto decoder = MakeVideoDecoder({.want_qp = true});
  const auto in_use = [] {
    const auto info = mallinfo2();
    return info.uordblks + info.hblkhd;
  };
  size_t after_warm_up = 0;
  for (int t = 0; t < 2000; ++t) {
    const QpMap qp = Uniform(frames[0], 26 + 2 * (t % 6));
    const auto encoded = (*encoder)->Encode(frames[t % 20], &qp, t % 50 == 0);
    ASSERT_TRUE(encoded);
    ASSERT_TRUE((*decoder)->Decode(encoded->access_unit));
    if (t == 200) after_warm_up = in_use();
  }
  EXPECT_LT(in_use(), after_warm_up + 64 * 1024);
}

}  // namespace
}  // namespace stac
