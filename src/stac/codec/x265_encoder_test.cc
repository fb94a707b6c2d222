// The x265 encoder, and FFmpeg's decoder behind the guard of H.265 streams.
#include <gtest/gtest.h>

#include <random>

#include "stac/codec/nal_units.h"
#include "stac/codec/test_pictures.h"
#include "stac/codec/video_decoder.h"
#include "stac/codec/video_encoder.h"

namespace stac {
namespace {

EncoderOptions OptionsFor(const Frame& frame, RateMode mode = RateMode::kQpMap) {
  EncoderOptions options;
  options.codec = VideoCodec::kH265;
  options.width = frame.width();
  options.height = frame.height();
  options.color = frame.color();
  options.mode = mode;
  options.want_reconstruction = true;
  return options;
}

QpMap Uniform(const Frame& frame, int qp) {
  return QpMap((frame.width() + 15) / 16, (frame.height() + 15) / 16, static_cast<uint8_t>(qp));
}

std::vector<Bytes> EncodeClip(const std::vector<Frame>& frames, int qp = 30) {
  auto encoder = MakeX265Encoder(OptionsFor(frames[0]));
  std::vector<Bytes> access_units;
  const QpMap plan = Uniform(frames[0], qp);
  for (size_t t = 0; t < frames.size(); ++t) {
    access_units.push_back((*encoder)->Encode(frames[t], &plan, t % 4 == 0)->access_unit);
  }
  return access_units;
}

Result<std::unique_ptr<VideoDecoder>> Decoder(int max_width = 8192) {
  return MakeVideoDecoder({.codec = VideoCodec::kH265, .max_width = max_width});
}

// Mean squared error of luma in columns [begin, end).
double SquaredError(const Frame& a, const Frame& b, int begin, int end) {
  double sum = 0;
  for (int y = 0; y < a.height(); ++y) {
    for (int x = begin; x < end; ++x) {
      const double difference = static_cast<double>(a.y().At(x, y)) - b.y().At(x, y);
      sum += difference * difference;
    }
  }
  return sum / (static_cast<double>(a.height()) * (end - begin));
}

TEST(X265EncoderTest, TheDecodersPictureIsTheReconstruction) {
  for (const RateMode mode : {RateMode::kQpMap, RateMode::kCrf}) {
    for (const ColorRange range : {ColorRange::kLimited, ColorRange::kFull}) {
      auto frames = MovingTexture(322, 182, 6, 6);  // neither of whole coding units
      for (Frame& frame : frames) {
        Frame copy(frame.width(), frame.height(), {ColorMatrix::kBt601, range});
        for (int i = 0; i < 3; ++i) {
          for (int y = 0; y < frame.plane(i).height; ++y) {
            std::copy_n(frame.plane(i).Row(y), frame.plane(i).width,
                        copy.MutablePlane(i) + ptrdiff_t{copy.plane(i).stride} * y);
          }
        }
        frame = copy;
      }
      auto encoder = MakeX265Encoder(OptionsFor(frames[0], mode));
      ASSERT_TRUE(encoder) << encoder.error().message;
      auto decoder = Decoder();
      ASSERT_TRUE(decoder) << decoder.error().message;
      const QpMap plan = Uniform(frames[0], 28);
      for (size_t t = 0; t < frames.size(); ++t) {
        const auto coded =
            (*encoder)->Encode(frames[t], mode == RateMode::kQpMap ? &plan : nullptr, t % 4 == 0);
        ASSERT_TRUE(coded) << coded.error().message;
        EXPECT_EQ(coded->idr, t % 4 == 0);
        const auto decoded = (*decoder)->Decode(coded->access_unit);
        ASSERT_TRUE(decoded) << decoded.error().message;
        EXPECT_EQ(decoded->idr, coded->idr);
        EXPECT_EQ(decoded->frame.color(), frames[t].color());
        EXPECT_TRUE(SamePixels(decoded->frame, coded->reconstruction)) << t;
      }
    }
  }
}

TEST(X265EncoderTest, ThePlanDecidesWhereTheErrorIs) {
  const auto frames = MovingTexture(320, 192, 4, 25);
  QpMap left = Uniform(frames[0], 18), right = left;
  for (int y = 0; y < left.height(); ++y) {
    for (int x = 0; x < left.width(); ++x) (x < 10 ? right : left)(x, y) = 42;
  }
  for (const bool fine_left : {true, false}) {
    auto encoder = MakeX265Encoder(OptionsFor(frames[0]));
    for (size_t t = 0; t < frames.size(); ++t) {
      const auto coded = (*encoder)->Encode(frames[t], fine_left ? &left : &right, t == 0);
      ASSERT_TRUE(coded) << coded.error().message;
      const double fine = SquaredError(frames[t], coded->reconstruction, fine_left ? 0 : 160,
                                       fine_left ? 160 : 320);
      const double coarse = SquaredError(frames[t], coded->reconstruction, fine_left ? 160 : 0,
                                         fine_left ? 320 : 160);
      // The steps differ by a factor of 16, and noise fills them.
      EXPECT_GT(coarse, 20 * fine) << t;
    }
  }
}

TEST(X265EncoderTest, EveryQpIsOneOfItsOwn) {
  const auto frames = MovingTexture(320, 192, 1, 25);
  double before = 0;
  for (const int qp : {27, 28, 29, 30}) {
    auto encoder = MakeX265Encoder(OptionsFor(frames[0]));
    const QpMap plan = Uniform(frames[0], qp);
    const auto coded = (*encoder)->Encode(frames[0], &plan, true);
    ASSERT_TRUE(coded);
    const double error = SquaredError(frames[0], coded->reconstruction, 0, 320);
    EXPECT_GT(error, before) << qp;
    before = error;
  }
}

TEST(X265EncoderTest, OnlyParameterSetsAndSlicesAreSent) {
  const auto units = EncodeClip(MovingTexture(320, 192, 6, 6));
  for (size_t t = 0; t < units.size(); ++t) {
    std::vector<int> types;
    for (const NalUnit& unit : SplitNalUnits(units[t])) types.push_back(unit.bytes[0] >> 1 & 63);
    if (t % 4 == 0) {
      ASSERT_EQ(types.size(), 4u);  // video, sequence and picture parameters, an IDR
      EXPECT_EQ((std::vector{types[0], types[1], types[2]}), (std::vector{32, 33, 34}));
    } else {
      EXPECT_EQ(types, std::vector{1});  // a reference picture that is no random access point
    }
  }
}

TEST(X265EncoderTest, AccessUnitsAreFoundInAWholeStream) {
  const auto units = EncodeClip(MovingTexture(320, 192, 6, 6));
  Bytes stream;
  for (const Bytes& unit : units) stream.insert(stream.end(), unit.begin(), unit.end());
  const auto found = SplitAccessUnits(stream, VideoCodec::kH265);
  ASSERT_EQ(found.size(), units.size());
  for (size_t i = 0; i < units.size(); ++i) {
    EXPECT_EQ(Bytes(found[i].begin(), found[i].end()), units[i]);
  }
}

TEST(X265EncoderTest, RefusesWhatItCannotDo) {
  const auto frames = MovingTexture(320, 192, 1, 6);
  const auto error = [&](auto change) {
    EncoderOptions options = OptionsFor(frames[0]);
    change(options);
    const auto encoder = MakeX265Encoder(options);
    return encoder ? std::string() : encoder.error().message;
  };
  using O = EncoderOptions;
  EXPECT_EQ(error([](O&) {}), "");
  EXPECT_NE(error([](O& o) { o.width = 321; }).find("even"), std::string::npos);
  EXPECT_NE(error([](O& o) { o.preset = "warp"; }).find("warp"), std::string::npos);
  EXPECT_NE(error([](O& o) { o.mode = RateMode::kAbr; }).find("use H.264"), std::string::npos);
  EXPECT_NE(error([](O& o) { o.extra = "bframes=2"; }).find("refuses"), std::string::npos);
  EXPECT_NE(error([](O& o) { o.extra = "bframes=2:rc-lookahead=5"; }).find("hold frames back"),
            std::string::npos);
  EXPECT_NE(error([](O& o) { o.extra = "aq-mode=0"; }).find("override"), std::string::npos);
  EXPECT_NE(error([](O& o) { o.extra = "ctu=32"; }).find("override"), std::string::npos);
  EXPECT_NE(error([](O& o) { o.extra = "colour=7"; }).find("colour=7"), std::string::npos);
  EXPECT_NE(error([](O& o) {
              o.matrices = FlatMatrices();
              o.matrices->inter_y4[3] = 20;
            }).find("of its own"),
            std::string::npos);
  auto encoder = MakeX265Encoder(OptionsFor(frames[0]));
  const QpMap plan = Uniform(frames[0], 30);
  EXPECT_FALSE((*encoder)->Encode(MovingTexture(160, 96, 1, 6)[0], &plan, true));
  EXPECT_FALSE((*encoder)->SetBitrate(500));
}

TEST(H265DecoderTest, AMissingPictureIsNoticed) {
  const auto units = EncodeClip(MovingTexture(320, 192, 6, 6));
  auto decoder = Decoder();
  EXPECT_FALSE((*decoder)->Decode(units[1]));  // starts at an IDR only
  EXPECT_TRUE((*decoder)->Decode(units[0]));
  EXPECT_TRUE((*decoder)->Decode(units[1]));
  const auto gap = (*decoder)->Decode(units[3]);
  ASSERT_FALSE(gap);
  EXPECT_NE(gap.error().message.find("missing"), std::string::npos);
  EXPECT_FALSE((*decoder)->Decode(units[2]));
  EXPECT_TRUE((*decoder)->Decode(units[4]));
  EXPECT_TRUE((*decoder)->Decode(units[5]));
}

TEST(H265DecoderTest, TwoPicturesInOneMessageAreRefused) {
  const auto units = EncodeClip(MovingTexture(320, 192, 2, 6));
  auto decoder = Decoder();
  Bytes both = units[0];
  both.insert(both.end(), units[1].begin(), units[1].end());
  const auto refused = (*decoder)->Decode(both);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("more than one picture"), std::string::npos);
  EXPECT_TRUE((*decoder)->Decode(units[0]));
}

TEST(H265DecoderTest, PicturesThatAreTooLargeAreRefused) {
  const auto units = EncodeClip(MovingTexture(320, 192, 1, 6));
  EXPECT_TRUE((*Decoder(320))->Decode(units[0]));
  const auto refused = (*Decoder(160))->Decode(units[0]);
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("larger than the 160"), std::string::npos);
}

TEST(H265DecoderTest, AfterDamageAnIdrIsDecoded) {
  const auto units = EncodeClip(MovingTexture(320, 192, 2, 6));
  std::mt19937 random(5);
  auto decoder = Decoder();
  for (int trial = 0; trial < 200; ++trial) {
    Bytes damaged = units[0];
    for (int i = 0; i < 3; ++i) damaged[random() % damaged.size()] ^= 1u << random() % 8;
    if (trial % 4 == 0) damaged.resize(random() % damaged.size());
    // Whatever comes of it, an intact IDR is decoded after it.
    (void)(*decoder)->Decode(damaged);
    EXPECT_TRUE((*decoder)->Decode(units[0])) << trial;
  }
  EXPECT_TRUE((*decoder)->Decode(units[1]));
}

TEST(H265DecoderTest, ItsQpsCannotBeAskedFor) {
  EXPECT_FALSE(MakeVideoDecoder({.codec = VideoCodec::kH265, .want_qp = true}));
}

}  // namespace
}  // namespace stac
