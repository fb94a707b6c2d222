// The decoder's answers to streams that are not as they should be.
#include <gtest/gtest.h>

#include <random>

#include "stac/codec/nal_units.h"
#include "stac/codec/test_pictures.h"
#include "stac/codec/video_decoder.h"
#include "stac/codec/video_encoder.h"

namespace stac {
namespace {

std::vector<Bytes> EncodeClip(const std::vector<Frame>& frames, int threads, int idr_period) {
  EncoderOptions options;
  options.width = frames[0].width();
  options.height = frames[0].height();
  options.color = frames[0].color();
  options.mode = RateMode::kCrf;
  options.crf = 26;
  options.threads = threads;
  auto encoder = MakeX264Encoder(options);
  std::vector<Bytes> access_units;
  for (size_t t = 0; t < frames.size(); ++t) {
    access_units.push_back(
        (*encoder)->Encode(frames[t], nullptr, t % idr_period == 0)->access_unit);
  }
  return access_units;
}

std::vector<Frame> Clip(int count) { return MovingTexture(320, 192, count, 6); }

// The access unit without its `dropped`-th slice.
Bytes WithoutSlice(const Bytes& access_unit, int dropped) {
  ByteWriter writer;
  int slice = 0;
  for (const NalUnit& unit : SplitNalUnits(access_unit)) {
    if (unit.IsSlice() && slice++ == dropped) continue;
    writer.Append(Bytes{0, 0, 0, 1});
    writer.Append(unit.bytes);
  }
  return writer.Release();
}

TEST(H264DecoderTest, StartsAtAnIdrOnly) {
  const auto units = EncodeClip(Clip(3), 1, 8);
  auto decoder = MakeVideoDecoder();
  EXPECT_FALSE((*decoder)->Decode(units[1]));
  EXPECT_TRUE((*decoder)->Decode(units[0]));
  EXPECT_TRUE((*decoder)->Decode(units[1]));
}

TEST(H264DecoderTest, AfterDamageItWaitsForTheNextIdr) {
  const auto units = EncodeClip(Clip(6), 1, 4);
  auto decoder = MakeVideoDecoder();
  EXPECT_TRUE((*decoder)->Decode(units[0]));
  EXPECT_FALSE((*decoder)->Decode(Bytes(100, 7)));
  EXPECT_FALSE((*decoder)->Decode(units[1]));
  EXPECT_FALSE((*decoder)->Decode(units[2]));
  EXPECT_TRUE((*decoder)->Decode(units[4]));
  EXPECT_TRUE((*decoder)->Decode(units[5]));
}

TEST(H264DecoderTest, AMissingPictureIsNoticed) {
  const auto units = EncodeClip(Clip(5), 1, 8);
  auto decoder = MakeVideoDecoder();
  EXPECT_TRUE((*decoder)->Decode(units[0]));
  EXPECT_TRUE((*decoder)->Decode(units[1]));
  EXPECT_FALSE((*decoder)->Decode(units[3]));
}

TEST(H264DecoderTest, AMissingSliceIsNoticed) {
  for (const int threads : {1, 2}) {
    for (const int dropped : {0, 1}) {
      const auto units = EncodeClip(Clip(2), 2, 8);
      auto decoder = MakeVideoDecoder({.threads = threads});
      EXPECT_FALSE((*decoder)->Decode(WithoutSlice(units[0], dropped)));
      EXPECT_TRUE((*decoder)->Decode(units[0]));
      EXPECT_FALSE((*decoder)->Decode(WithoutSlice(units[1], dropped)))
          << threads << " threads, slice " << dropped;
    }
  }
}

TEST(H264DecoderTest, TruncationIsNoticed) {
  for (const int threads : {1, 2}) {
    const auto units = EncodeClip(Clip(2), threads, 8);
    auto decoder = MakeVideoDecoder({.threads = threads});
    int accepted = 0;
    for (size_t size = 0; size < units[0].size(); size += 151) {
      const auto decoded = (*decoder)->Decode({units[0].data(), size});
      // The arithmetic decoder looks a few bytes ahead, so a cut at the very end may pass.
      if (decoded && size + 8 < units[0].size()) ++accepted;
    }
    EXPECT_EQ(accepted, 0) << threads << " threads";
    EXPECT_TRUE((*decoder)->Decode(units[0]));
  }
}

TEST(H264DecoderTest, HostileInputNeverCrashes) {
  const auto units = EncodeClip(Clip(3), 1, 8);
  std::mt19937 random(9);
  for (const int threads : {1, 2}) {
    auto decoder = MakeVideoDecoder(
        {.want_qp = true, .threads = threads, .max_width = 640, .max_height = 480});
    int refused = 0;
    for (int i = 0; i < 100; ++i) {
      EXPECT_TRUE((*decoder)->Decode(units[0]));
      Bytes broken = i % 5 == 0 ? Bytes(random() % 400) : units[i % 2];
      if (i % 5 == 0) {
        for (uint8_t& byte : broken) byte = static_cast<uint8_t>(random() % 7 ? random() : 1);
      } else {
        for (unsigned flips = 1 + random() % 6; flips > 0; --flips) {
          const size_t range = random() % 2 ? broken.size() : std::min<size_t>(60, broken.size());
          broken[random() % range] ^= static_cast<uint8_t>(1u << random() % 8);
        }
      }
      const auto decoded = (*decoder)->Decode(broken);
      refused += !decoded;
      if (decoded) {
        EXPECT_LE(decoded->frame.width(), 640);
      } else {
        EXPECT_FALSE(decoded.error().message.empty());
      }
    }
    EXPECT_GT(refused, 60);
  }
}

TEST(H264DecoderTest, RefusesPicturesThatAreTooLarge) {
  const auto units = EncodeClip(Clip(1), 1, 8);
  for (const auto& [width, height] : {std::pair(304, 192), std::pair(320, 176)}) {
    auto decoder = MakeVideoDecoder({.max_width = width, .max_height = height});
    const auto refused = (*decoder)->Decode(units[0]);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("larger"), std::string::npos) << refused.error().message;
  }
  auto decoder = MakeVideoDecoder({.max_width = 320, .max_height = 192});
  EXPECT_TRUE((*decoder)->Decode(units[0]));
}

TEST(H264DecoderTest, TheLargestPictureThatIsAllowedDecodes) {
  for (const auto& [width, height] : {std::pair(242, 174), std::pair(854, 480)}) {
    auto encoder = MakeX264Encoder({.width = width, .height = height, .mode = RateMode::kCrf});
    ASSERT_TRUE(encoder) << encoder.error().message;
    const auto coded = (*encoder)->Encode(MakeGreyFrame(width, height), nullptr, true);
    ASSERT_TRUE(coded) << coded.error().message;
    auto decoder = MakeVideoDecoder({.max_width = width, .max_height = height});
    const auto decoded = (*decoder)->Decode(coded->access_unit);
    EXPECT_TRUE(decoded) << width << "x" << height << ": " << decoded.error().message;
    auto smaller = MakeVideoDecoder({.max_width = width - 16, .max_height = height});
    EXPECT_FALSE((*smaller)->Decode(coded->access_unit));
  }
}

TEST(H264DecoderTest, FramesOutliveTheDecoder) {
  const auto frames = Clip(3);
  const auto units = EncodeClip(frames, 1, 8);
  auto decoder = MakeVideoDecoder();
  const Frame first = (*decoder)->Decode(units[0])->frame;
  const uint64_t hash = HashPixels(first);
  EXPECT_TRUE((*decoder)->Decode(units[1]));
  EXPECT_TRUE((*decoder)->Decode(units[2]));
  EXPECT_EQ(HashPixels(first), hash);
  decoder->reset();
  EXPECT_EQ(HashPixels(first), hash);
  EXPECT_GT(LumaPsnr(first, frames[0]), 30.0);
}

}  // namespace
}  // namespace stac
