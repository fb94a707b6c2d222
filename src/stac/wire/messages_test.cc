#include "stac/wire/messages.h"

#include <gmock/gmock.h>

#include <cmath>
#include <limits>
#include <random>

#include "stac/wire/text_internal.h"

namespace stac {
namespace {

using testing::HasSubstr;

Hello GoodHello() {
  Hello hello;
  hello.device = "caméra 7";
  hello.width = 1242;
  hello.height = 374;
  hello.fps = 29.97;
  hello.color = {ColorMatrix::kBt601, ColorRange::kFull};
  hello.profile_hash = "0123456789abcdef";
  hello.server_consumes = true;
  hello.coarse_labels = true;
  hello.region_size = 32;
  hello.codec = VideoCodec::kH265;
  return hello;
}

std::vector<Message> OneOfEachKind() {
  Welcome welcome;
  welcome.accepted = true;
  welcome.network = "deeplab";
  welcome.class_count = 19;
  welcome.profile_json = "{\n\t\"levels\": 32\n}";
  welcome.max_keyframe_fps = 1.5;
  return {GoodHello(),
          welcome,
          CodedFrame{.frame = 4'000'000'000u,
                     .capture_time = -123456789,
                     .idr = true,
                     .access_unit = {0, 0, 0, 1, 0x65, 0xFF},
                     .reconstruction_hash = 0xFEDCBA9876543210u,
                     .held = 3'999'999'990u},
          PropagatedLabels{.frame = 12, .anchor = 9, .coded = {1, 2, 3}},
          Levels{.frame = 9, .previous = 3, .base_qp = 33.5, .coded = {0}},
          Labels{.frame = 9, .previous = 3, .coded = {7, 7}},
          ServerStats{.frame = 9,
                      .processing_ms = 51.5,
                      .decode_ms = 2,
                      .forward_ms = 30,
                      .gradient_ms = 19.5,
                      .queue = 3,
                      .error = "frame 8 is missing",
                      .max_keyframe_fps = 4.5},
          Configuration{.base_qp = 31.5, .keyframe_fps = 2.5, .scale = 0.75},
          Bye{.reason = "interrupted"},
          PropagatedMotion{.frame = 12, .anchor = 9, .previous = 11, .coded = {4, 0}}};
}

TEST(MessagesTest, EveryKindRoundTrips) {
  const auto messages = OneOfEachKind();
  ASSERT_EQ(messages.size(), std::variant_size_v<Message>);
  for (size_t i = 0; i < messages.size(); ++i) {
    ASSERT_EQ(messages[i].index(), i);
    const auto parsed = Parse(Serialize(messages[i]));
    ASSERT_TRUE(parsed.has_value()) << parsed.error().message;
    EXPECT_TRUE(*parsed == messages[i]) << KindName(messages[i]);
  }
}

TEST(MessagesTest, BytesOnTheWireAreFixed) {
  // Field 1 (version) = 2; field 7 (labels) of 7 bytes: frame (1) = 9, coded (2) = 2 bytes.
  EXPECT_EQ(Serialize(Labels{.frame = 9, .coded = {0xAA, 0xBB}}),
            (Bytes{0x08, 2, 0x3A, 6, 0x08, 9, 0x12, 2, 0xAA, 0xBB}));
}

TEST(MessagesTest, TheScaleIsOneWhereItIsAbsent) {
  const Configuration full{.base_qp = 31.5, .keyframe_fps = 2.5};
  const Bytes bytes = Serialize(full);
  EXPECT_EQ(std::get<Configuration>(*Parse(bytes)), full);
  // As senders had it that knew no scale: field 9 (configuration) with two doubles.
  EXPECT_EQ(bytes.size(), 2u + 2 + 2 * 9);
  // A third field says so, and is checked: 0 is not the same as absent.
  const auto with = [&](double scale) {
    Bytes longer = bytes;
    longer[3] += 9;
    longer.push_back(0x19);  // field 3, 64 bits
    const auto* raw = reinterpret_cast<const uint8_t*>(&scale);
    longer.insert(longer.end(), raw, raw + sizeof(scale));
    return Parse(longer);
  };
  ASSERT_TRUE(with(0.25)) << with(0.25).error().message;
  EXPECT_EQ(std::get<Configuration>(*with(0.25)).scale, 0.25);
  EXPECT_EQ(std::get<Configuration>(*with(1)), full);
  for (const double bad : {0.0, -0.0, 0.2499, 1.001, -1.0, 1e300, std::nan(""),
                           std::numeric_limits<double>::infinity()}) {
    ASSERT_FALSE(with(bad)) << bad;
    EXPECT_THAT(with(bad).error().message, HasSubstr("the scale is")) << bad;
    EXPECT_FALSE(Validate(Configuration{.scale = bad})) << bad;
  }
}

TEST(MessagesTest, SmallMessagesCostFewBytesBesidesTheirPayload) {
  const Bytes payload(500, 1);
  EXPECT_LE(Serialize(Levels{.frame = 5000, .previous = 4990, .coded = payload}).size(), 526u);
}

TEST(MessagesTest, UnknownVersionsAndKindsAreErrorsWithAdvice) {
  Hello hello = GoodHello();
  hello.version = 3;
  const auto version = Parse(Serialize(hello));
  ASSERT_FALSE(version.has_value());
  EXPECT_THAT(version.error().message, HasSubstr("protocol version 3, this one 2"));

  const auto kind = Parse(Bytes{0x08, 2, 0x7A, 0});  // field 15
  ASSERT_FALSE(kind.has_value());
  EXPECT_THAT(kind.error().message, HasSubstr("unknown kind"));
  EXPECT_FALSE(Parse(Bytes{}).has_value());
  EXPECT_FALSE(Parse(Bytes{0x3A, 0}).has_value());  // labels without a version
}

TEST(MessagesTest, UnknownCodecsAreErrors) {
  Hello hello = GoodHello();
  hello.coarse_labels = false;
  Bytes bytes = Serialize(hello);
  ASSERT_EQ(bytes[bytes.size() - 2], 10 << 3);  // field 10, the last one now: the codec
  ASSERT_EQ(bytes.back(), 1);
  bytes.back() = 2;
  const auto parsed = Parse(bytes);
  ASSERT_FALSE(parsed.has_value());
  EXPECT_THAT(parsed.error().message, HasSubstr("unknown codec 2"));
}

TEST(MessagesTest, TruncationAtEveryByteIsAnError) {
  for (const Message& message : OneOfEachKind()) {
    const Bytes bytes = Serialize(message);
    for (size_t length = 0; length < bytes.size(); ++length) {
      const auto parsed = Parse(ByteSpan(bytes).first(length));
      EXPECT_FALSE(parsed.has_value()) << KindName(message) << " cut to " << length;
    }
  }
}

TEST(MessagesTest, RandomBytesAndBitFlipsGiveErrorsOrValidMessages) {
  std::mt19937 random(7);
  int valid = 0;
  const auto try_one = [&](const Bytes& bytes) {
    if (const auto parsed = Parse(bytes)) {
      EXPECT_TRUE(Validate(*parsed).has_value());
      EXPECT_TRUE(*Parse(Serialize(*parsed)) == *parsed);
      ++valid;
    }
  };
  for (int i = 0; i < 20000; ++i) {
    Bytes bytes(random() % 64);
    for (auto& byte : bytes) byte = static_cast<uint8_t>(random());
    try_one(bytes);
  }
  const auto messages = OneOfEachKind();
  for (int i = 0; i < 40000; ++i) {
    Bytes bytes = Serialize(messages[random() % messages.size()]);
    for (int flips = 1 + static_cast<int>(random() % 4); flips > 0; --flips) {
      bytes[random() % bytes.size()] ^= static_cast<uint8_t>(1u << (random() % 8));
    }
    try_one(bytes);
  }
  EXPECT_GT(valid, 1000);  // many flips only change a value
}

// Parses what a sender without our checks could send: a valid message with one byte pattern
// replaced by another of the same length.
std::string ErrorAfterReplacing(const Message& message, const Bytes& from, const Bytes& to) {
  Bytes bytes = Serialize(message);
  const auto at = std::search(bytes.begin(), bytes.end(), from.begin(), from.end());
  EXPECT_NE(at, bytes.end());
  std::copy(to.begin(), to.end(), at);
  const auto parsed = Parse(bytes);
  return parsed ? "valid" : parsed.error().message;
}

TEST(MessagesTest, EveryRangeIsCheckedOnTheWayIn) {
  Hello hello = GoodHello();
  hello.width = 64;
  EXPECT_THAT(ErrorAfterReplacing(hello, {0x10, 64}, {0x10, 65}), HasSubstr("width is 65"));
  EXPECT_THAT(ErrorAfterReplacing(hello, {0x10, 64}, {0x10, 14}), HasSubstr("width is 14"));
  EXPECT_THAT(ErrorAfterReplacing(hello, {0x48, 32}, {0x48, 24}), HasSubstr("region size is 24"));
  EXPECT_THAT(ErrorAfterReplacing(hello, {'7'}, {'\n'}), HasSubstr("control character"));
  EXPECT_THAT(ErrorAfterReplacing(hello, {0xC3, 0xA9}, {0xC3, 0x29}), HasSubstr("not UTF-8"));
  EXPECT_THAT(ErrorAfterReplacing(hello, {'c', 'd', 'e'}, {'x', 'y', 'z'}),
              HasSubstr("not hexadecimal"));
  EXPECT_THAT(ErrorAfterReplacing(hello, {0x30, 1}, {0x30, 2}), HasSubstr("colour"));
  const Levels levels{.frame = 5, .previous = 4, .coded = {1}};
  EXPECT_THAT(ErrorAfterReplacing(levels, {0x10, 4}, {0x10, 6}), HasSubstr("after frame 5"));
}

Status ValidateWith(auto message, auto change) {
  change(message);
  return Validate(message);
}

TEST(MessagesTest, ValidateNamesTheLimit) {
  const double nan = std::nan("");
  const double inf = std::numeric_limits<double>::infinity();
  EXPECT_FALSE(ValidateWith(GoodHello(), [](Hello& m) { m.device = std::string(65, 'x'); }));
  EXPECT_TRUE(ValidateWith(GoodHello(), [](Hello& m) { m.device = std::string(64, 'x'); }));
  EXPECT_FALSE(ValidateWith(GoodHello(), [](Hello& m) { m.device.clear(); }));
  EXPECT_FALSE(ValidateWith(GoodHello(), [](Hello& m) { m.height = 16386; }));
  EXPECT_TRUE(ValidateWith(GoodHello(), [](Hello& m) { m.height = 16384; }));
  EXPECT_FALSE(ValidateWith(GoodHello(), [](Hello& m) { m.height = -2; }));
  for (const double bad : {nan, inf, 0.0, -1.0, 1001.0}) {
    EXPECT_FALSE(ValidateWith(GoodHello(), [&](Hello& m) { m.fps = bad; })) << bad;
  }
  for (const double bad : {nan, inf, -20.5}) {
    EXPECT_FALSE(Validate(ServerStats{.processing_ms = bad})) << bad;
    EXPECT_FALSE(Validate(Configuration{.base_qp = bad})) << bad;
    EXPECT_FALSE(Validate(Levels{.base_qp = bad, .coded = {1}})) << bad;
    EXPECT_FALSE(Validate(Configuration{.keyframe_fps = bad})) << bad;
  }
  EXPECT_FALSE(ValidateWith(GoodHello(), [](Hello& m) { m.profile_hash = std::string(65, 'a'); }));
  EXPECT_TRUE(ValidateWith(GoodHello(), [](Hello& m) { m.profile_hash = std::string(64, 'a'); }));
  EXPECT_FALSE(ValidateWith(GoodHello(), [](Hello& m) { m.profile_hash = "xyz"; }));
  EXPECT_FALSE(ValidateWith(GoodHello(), [](Hello& m) { m.region_size = 1040; }));
  EXPECT_FALSE(ValidateWith(GoodHello(), [](Hello& m) { m.region_size = 24; }));
  EXPECT_TRUE(ValidateWith(GoodHello(), [](Hello& m) { m.region_size = 1024; }));
  EXPECT_TRUE(Validate(Levels{.base_qp = 71, .coded = {1}}));
  EXPECT_FALSE(Validate(Levels{.base_qp = 71.5, .coded = {1}}));
  EXPECT_FALSE(Validate(Configuration{.base_qp = 71.5}));
  EXPECT_TRUE(Validate(Configuration{.keyframe_fps = 1000}));
  EXPECT_FALSE(Validate(Configuration{.keyframe_fps = 1001}));
  EXPECT_FALSE(Validate(Welcome{.class_count = 2, .max_keyframe_fps = -1}));
  EXPECT_FALSE(Validate(Welcome{.class_count = 2, .max_keyframe_fps = nan}));
  EXPECT_FALSE(Validate(Welcome{.class_count = 2, .profile_json = "\x01"}));
  EXPECT_FALSE(Validate(ServerStats{.queue = -1}));
  EXPECT_FALSE(Validate(ServerStats{.queue = 1'000'001}));
  EXPECT_FALSE(Validate(ServerStats{.decode_ms = -1}));
  EXPECT_FALSE(Validate(ServerStats{.forward_ms = nan}));
  EXPECT_FALSE(Validate(ServerStats{.gradient_ms = inf}));
  EXPECT_FALSE(Validate(ServerStats{.max_keyframe_fps = nan}));
  EXPECT_FALSE(Validate(ServerStats{.max_keyframe_fps = 1001}));
  EXPECT_FALSE(Validate(CodedFrame{.capture_time = -(Micros{1} << 61), .access_unit = {1}}));
  EXPECT_FALSE(Validate(CodedFrame{.frame = 3, .access_unit = {1}, .held = 4}));
  EXPECT_FALSE(Validate(Labels{.frame = 3, .previous = 4, .coded = {1}}));
  EXPECT_FALSE(Validate(Labels{.frame = 1}));  // empty map
  EXPECT_TRUE(Validate(Levels{.frame = 1}));   // the device keeps its own
  EXPECT_FALSE(Validate(CodedFrame{.frame = 1}));
  EXPECT_FALSE(Validate(CodedFrame{.capture_time = Micros{1} << 61, .access_unit = {1}}));
  EXPECT_FALSE(Validate(CodedFrame{.access_unit = Bytes(kMaxPayloadBytes + 1)}));
  EXPECT_FALSE(Validate(PropagatedLabels{.frame = 3, .anchor = 4, .coded = {1}}));
  EXPECT_FALSE(Validate(PropagatedMotion{.frame = 3, .anchor = 4}));
  EXPECT_FALSE(Validate(PropagatedMotion{.frame = 3, .anchor = 1, .previous = 4}));
  EXPECT_TRUE(Validate(PropagatedMotion{.frame = 3, .anchor = 1, .previous = 2}));
  EXPECT_FALSE(Validate(Welcome{.accepted = true}));  // no classes
  EXPECT_TRUE(Validate(Welcome{.accepted = false, .reason = "full"}));
  EXPECT_FALSE(Validate(Welcome{.class_count = 256}));
  EXPECT_FALSE(Validate(Welcome{.profile_json = std::string(kMaxProfileBytes + 1, ' ')}));
}

TEST(MessagesTest, LargestFramePassesAndLongerInputIsRefusedUnread) {
  const CodedFrame frame{.access_unit = Bytes(kMaxPayloadBytes, 3)};
  EXPECT_TRUE(Parse(Serialize(frame)).has_value());
  EXPECT_THAT(Parse(Bytes((16u << 20) + 1)).error().message, HasSubstr("at most"));
}

TEST(MessagesTest, LongAndDirtyReasonsAreCleanedNotRefused) {
  const auto parsed = Parse(Serialize(Bye{.reason = "bad\nline\xFF" + std::string(5000, 'x')}));
  ASSERT_TRUE(parsed.has_value());
  const std::string& reason = std::get<Bye>(*parsed).reason;
  EXPECT_THAT(reason, testing::StartsWith("bad?line?xxx"));
  EXPECT_EQ(reason.size(), kMaxTextCharacters);
}

TEST(MessagesTest, ErrorsOfAServerAreCleanedNotRefused) {
  const auto parsed = Parse(Serialize(ServerStats{.error = "bad\x1B[2J" + std::string(5000, 'x')}));
  ASSERT_TRUE(parsed.has_value());
  const std::string& error = std::get<ServerStats>(*parsed).error;
  EXPECT_THAT(error, testing::StartsWith("bad?[2Jxxx"));
  EXPECT_EQ(error.size(), kMaxTextCharacters);
}

TEST(MessagesTest, ANetworkMayBeCalledAsItsFileIs) {
  const auto parsed =
      Parse(Serialize(Welcome{.network = "net\xFF" + std::string(100, 'x'), .class_count = 2}));
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(std::get<Welcome>(*parsed).network, "net?" + std::string(kMaxNameCharacters - 4, 'x'));
}

TEST(TextTest, OnlyWellFormedUtf8Passes) {
  EXPECT_TRUE(CheckText("Z\u00FCrich \u4E2D \U0001F697", "t", 10));
  EXPECT_FALSE(CheckText("\xC0\xAF", "t", 10));          // overlong '/'
  EXPECT_FALSE(CheckText("\xED\xA0\x80", "t", 10));      // surrogate
  EXPECT_FALSE(CheckText("\xF4\x90\x80\x80", "t", 10));  // above U+10FFFF
  EXPECT_FALSE(CheckText("\xE4\xB8", "t", 10));          // cut
  EXPECT_FALSE(CheckText("\xC2\x9B", "t", 10));          // C1: control sequence introducer
  EXPECT_FALSE(CheckText("a\tb", "t", 10));
  EXPECT_TRUE(CheckText("a\tb", "t", 10, true));
  EXPECT_EQ(CleanText("\u00FC\x1B[31m\xFF", 100), "\u00FC?[31m?");
  EXPECT_EQ(CleanText("\u00FC\u00FC\u00FC", 2), "\u00FC\u00FC");
  EXPECT_EQ(CleanText("a\x7F"
                      "b",
                      100),
            "a?b");
}

}  // namespace
}  // namespace stac
