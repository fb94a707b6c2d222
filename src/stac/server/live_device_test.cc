// How a live device ends, and that lost messages do not stop it.
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <thread>

#include "live_test_parts.h"
#include "stac/base/test_log.h"

namespace stac {
namespace {

// Runs the device to its end; stops it after a while, so that a test can fail.
Result<DeviceTotals> RunToTheEnd(LiveDevice& device) {
  std::atomic<bool> stop{false};
  auto running = std::async(std::launch::async, [&] { return device.Run(stop); });
  EXPECT_EQ(running.wait_for(std::chrono::seconds(20)), std::future_status::ready);
  stop = true;
  return running.get();
}

// A source that never ends.
class Camera final : public FrameSource {
 public:
  Camera() : info_(source_->info()) { info_.live = true; }
  const SourceInfo& info() const override { return info_; }
  Result<std::optional<Frame>> Next() override {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    return source_->Next();
  }

 private:
  std::unique_ptr<FrameSource> source_ = MakeSource(1'000'000);
  SourceInfo info_;
};

// A source of one frame, after which nothing comes until it is interrupted.
class StalledCamera final : public FrameSource {
 public:
  const SourceInfo& info() const override { return source_->info(); }
  Result<std::optional<Frame>> Next() override {
    if (std::exchange(delivered_, true)) return interrupted_.Wait(), std::nullopt;
    return source_->Next();
  }
  void Interrupt() override {
    interrupted_.Set();
    ++interrupts;
  }

  int interrupts = 0;

 private:
  std::unique_ptr<FrameSource> source_ = MakeSource(1);
  bool delivered_ = false;
  Signal interrupted_;
};

// Breaks after three frames. Its second frame says that it is of an hour later, if `jumps`.
class BreakingCamera final : public FrameSource {
 public:
  explicit BreakingCamera(bool jumps) : jumps_(jumps) {}
  const SourceInfo& info() const override { return source_->info(); }
  Result<std::optional<Frame>> Next() override {
    auto frame = source_->Next();
    if (*frame == std::nullopt) return Fail("the camera broke");
    if (jumps_ && (*frame)->id == 1) (*frame)->pts += 3'600'000'000;
    return frame;
  }

 private:
  std::unique_ptr<FrameSource> source_ = MakeSource(3);
  const bool jumps_;
};

// Loses the keyframe or the answer of one frame.
class LosingLink final : public ForwardingLink {
 public:
  enum class Loses { kKeyframe, kAnswer };
  LosingLink(std::unique_ptr<Link> link, Loses loses, FrameId frame)
      : ForwardingLink(std::move(link)), loses_(loses), frame_(frame) {}

  Status Send(ByteSpan bytes, Micros ttl) override {
    const auto message = Parse(bytes);
    const auto* coded = std::get_if<CodedFrame>(&*message);
    if (loses_ == Loses::kKeyframe && coded != nullptr && coded->frame == frame_) {
      ++expired_;
      return OkStatus();
    }
    return ForwardingLink::Send(bytes, ttl);
  }
  Result<std::optional<Bytes>> Receive() override {
    auto received = ForwardingLink::Receive();
    if (!received || !*received || loses_ != Loses::kAnswer) return received;
    const auto message = Parse(**received);
    const auto* stats = std::get_if<ServerStats>(&*message);
    if (stats != nullptr && stats->frame == frame_) return std::nullopt;
    return received;
  }
  LinkStats Stats() const override {
    LinkStats stats = ForwardingLink::Stats();
    stats.messages_expired += expired_;
    return stats;
  }

 private:
  Loses loses_;
  FrameId frame_;
  int64_t expired_ = 0;
};

// Fails at every frame but the first (and the blank ones that it is warmed up with).
class FailingSegmenter final : public Segmenter {
 public:
  const NetworkInfo& info() const override { return fake_.info(); }
  Result<Segmentation> Run(const Frame& frame) override { return fake_.Run(frame); }
  Result<Segmentation> RunWithGradient(const Frame& frame, const Objective& objective) override {
    if (frame.id == 0) return fake_.RunWithGradient(frame, objective);
    return Fail("frame {} is too much", frame.id);
  }
  std::unique_ptr<Segmenter> Clone() const override { return std::make_unique<FailingSegmenter>(); }

 private:
  FakeSegmenter fake_{kClasses};
};

// Calls back before a frame is coded.
class WatchedEncoder final : public VideoEncoder {
 public:
  WatchedEncoder(std::unique_ptr<VideoEncoder> encoder, std::function<void(FrameId)> before)
      : encoder_(std::move(encoder)), before_(std::move(before)) {}
  Result<EncodedFrame> Encode(const Frame& frame, const QpMap* qp, bool force_idr) override {
    before_(frame.id);
    return encoder_->Encode(frame, qp, force_idr);
  }
  Status SetBitrate(double kbps) override { return encoder_->SetBitrate(kbps); }
  std::string Describe() const override { return encoder_->Describe(); }

 private:
  std::unique_ptr<VideoEncoder> encoder_;
  std::function<void(FrameId)> before_;
};

// Calls back before a message is sent.
class WatchedLink final : public ForwardingLink {
 public:
  WatchedLink(std::unique_ptr<Link> link, std::function<void(const Message&)> before)
      : ForwardingLink(std::move(link)), before_(std::move(before)) {}
  Status Send(ByteSpan bytes, Micros ttl) override {
    before_(*Parse(bytes));
    return ForwardingLink::Send(bytes, ttl);
  }

 private:
  std::function<void(const Message&)> before_;
};

class LiveDeviceTest : public testing::Test {
 protected:
  LiveDeviceTest() {
    auto segmenter = std::make_unique<FakeSegmenter>(kClasses);
    const Profile profile = UncalibratedProfile("fake", segmenter->info().hash, kClasses);
    server_ = std::make_unique<LiveServer>(ServerOptions{}, profile, std::move(segmenter),
                                           MakeVideoDecoder, nullptr, nullptr);
  }
  std::unique_ptr<Link> Connect() {
    LinkPair pair = MakeLoopback();
    server_->Add(std::move(pair.b), "test");
    return std::move(pair.a);
  }
  // Ten frames, one after the other, of which something of the fourth gets lost.
  Result<DeviceTotals> RunLosing(LosingLink::Loses loses, Micros answer_timeout) {
    const auto session = MakeSession(&clock_, {.answer_timeout = answer_timeout});
    const auto source = MakeSource(10);
    LiveDevice device(
        {.pace = false}, session.get(), source.get(),
        [&]() -> Result<std::unique_ptr<Link>> {
          return std::make_unique<LosingLink>(Connect(), loses, 3);
        },
        &sink_);
    return RunToTheEnd(device);
  }

  SystemClock clock_;
  std::unique_ptr<LiveServer> server_;
  CountingSink sink_;
};

TEST_F(LiveDeviceTest, ACameraIsLeftAfterTheSecondsAskedFor) {
  const auto session = MakeSession(&clock_);
  Camera camera;
  LiveDevice device(
      {.seconds = 0.3}, session.get(), &camera, [&] { return Connect(); }, &sink_);
  const auto totals = RunToTheEnd(device);
  ASSERT_TRUE(totals) << totals.error().message;
  EXPECT_GT(totals->frames, 0);
}

TEST_F(LiveDeviceTest, StoppingInterruptsASourceThatSendsNothing) {
  const auto session = MakeSession(&clock_);
  StalledCamera camera;
  std::atomic<bool> stop{false};
  sink_.on_frame = [&](const FrameRecord&) { stop = true; };
  LiveDevice device(
      {}, session.get(), &camera, [&] { return Connect(); }, &sink_);
  const auto totals = device.Run(stop);
  ASSERT_TRUE(totals) << totals.error().message;
  EXPECT_EQ(totals->frames, 1);
  EXPECT_EQ(camera.interrupts, 1);
}

TEST_F(LiveDeviceTest, TellsWhatItDidBeforeTheSourceBroke) {
  const auto session = MakeSession(&clock_);
  BreakingCamera camera(/*jumps=*/false);
  LiveDevice device(
      {}, session.get(), &camera, [&] { return Connect(); }, &sink_);
  const auto totals = RunToTheEnd(device);
  ASSERT_TRUE(totals) << totals.error().message;
  ASSERT_FALSE(totals->outcome);
  EXPECT_EQ(totals->outcome.error().message, "the camera broke");
  EXPECT_EQ(totals->frames, 3);
  EXPECT_GT(totals->video_bytes, 0);
}

TEST_F(LiveDeviceTest, AFrameThatIsNotDueWhenItIsStoppedNeverWas) {
  const auto session = MakeSession(&clock_);
  BreakingCamera camera(/*jumps=*/true);
  std::atomic<bool> stop{false};
  sink_.on_frame = [&](const FrameRecord& record) {
    EXPECT_GE(record.label_latency_ms, 0);
    stop = true;
  };
  LiveDevice device(
      {}, session.get(), &camera, [&] { return Connect(); }, &sink_);
  const auto totals = device.Run(stop);
  ASSERT_TRUE(totals) << totals.error().message;
  EXPECT_EQ(totals->frames, 1);
  EXPECT_LT(totals->seconds, 1);
}

// The waits are 0, 0.2 and 0.4 s: no server is asked at once for ever.
TEST_F(LiveDeviceTest, AServerThatSendsItAwayIsAskedLessAndLess) {
  const Profile profile = UncalibratedProfile("fake", "0", kClasses);
  std::vector<std::unique_ptr<Link>> servers;
  std::atomic<bool> stop{false};
  const auto session = MakeSession(&clock_);
  Camera camera;
  LiveDevice device(
      {}, session.get(), &camera,
      [&]() -> Result<std::unique_ptr<Link>> {
        LinkPair pair = MakeLoopback();
        EXPECT_TRUE(pair.b->Send(Serialize(Welcome{.accepted = true,
                                                   .network = "fake",
                                                   .class_count = kClasses,
                                                   .profile_json = ToJson(profile)}),
                                 0));
        EXPECT_TRUE(pair.b->Send(Serialize(Bye{.reason = "not you"}), 0));
        servers.push_back(std::move(pair.b));
        stop = servers.size() == 4;
        return std::move(pair.a);
      },
      &sink_);
  const Micros start = clock_.Now();
  ASSERT_TRUE(device.Run(stop));
  EXPECT_GE(clock_.Now() - start, 600'000);
}

TEST_F(LiveDeviceTest, EncoderSettingsAreCheckedBeforeConnecting) {
  DeviceOptions options;
  options.width = 192;
  options.height = 128;
  options.encoder.extra = "bogus=1";
  DeviceSession session(options, MakeDisFlow({}), MakeX264Encoder, &clock_);
  const auto source = MakeSource(1);
  int attempts = 0;
  LiveDevice device(
      {.keep_trying = true}, &session, source.get(),
      [&]() -> Result<std::unique_ptr<Link>> {
        ++attempts;
        return Connect();
      },
      &sink_);
  const auto totals = RunToTheEnd(device);
  ASSERT_FALSE(totals);
  EXPECT_NE(totals.error().message.find("bogus=1"), std::string::npos) << totals.error().message;
  EXPECT_EQ(attempts, 0);
}

// The first attempts fail, and a connection breaks on the way.
TEST_F(LiveDeviceTest, WithoutPaceFramesWaitForTheServer) {
  const auto session = MakeSession(&clock_);
  const auto source = MakeSource(10);
  int attempts = 0;
  Link* link = nullptr;
  LiveDevice device(
      {.pace = false, .keep_trying = true}, session.get(), source.get(),
      [&]() -> Result<std::unique_ptr<Link>> {
        if (++attempts < 3) return Fail("nobody there");
        auto connected = Connect();
        link = connected.get();
        return connected;
      },
      &sink_);
  sink_.on_frame = [&](const FrameRecord& record) {
    if (record.frame == 4) link->Close();
  };
  const auto totals = RunToTheEnd(device);
  ASSERT_TRUE(totals) << totals.error().message;
  EXPECT_EQ(totals->frames, 10);
  EXPECT_EQ(totals->reconnects, 1);
  EXPECT_EQ(totals->keyframes, 10);
  EXPECT_EQ(sink_.feedback.size(), 9u);
}

// Keyframe 4 is coded for as long as it takes to lose the server and to find it again.
TEST_F(LiveDeviceTest, AKeyframeForALostConnectionIsNotSentOverTheNextOne) {
  Link* link = nullptr;
  Signal found_again;
  DeviceOptions options;
  options.width = 192;
  options.height = 128;
  const auto encoders =
      [&](const EncoderOptions& encoder) -> Result<std::unique_ptr<VideoEncoder>> {
    STAC_ASSIGN_OR_RETURN(auto x264, MakeX264Encoder(encoder));
    return std::make_unique<WatchedEncoder>(std::move(x264), [&](FrameId frame) {
      if (frame != 4) return;
      link->Close();
      EXPECT_TRUE(found_again.Wait());
    });
  };
  DeviceSession session(options, MakeDisFlow({}), encoders, &clock_);
  const auto source = MakeSource(10);
  int connections = 0;
  LiveDevice device(
      {.pace = false}, &session, source.get(),
      [&]() -> Result<std::unique_ptr<Link>> {
        // The device's loop says its configuration when it has adopted a connection.
        const auto before = [&, second = ++connections == 2](const Message& message) {
          if (second && std::holds_alternative<Configuration>(message)) found_again.Set();
        };
        auto connected = std::make_unique<WatchedLink>(Connect(), before);
        link = connected.get();
        return connected;
      },
      &sink_);
  const auto totals = RunToTheEnd(device);
  ASSERT_TRUE(totals) << totals.error().message;
  EXPECT_EQ(totals->reconnects, 1);
  EXPECT_EQ(totals->errors, 0);
  ASSERT_GT(sink_.keyframes.size(), 5u);
  EXPECT_EQ(sink_.keyframes[4].frame, 4u);
  EXPECT_FALSE(sink_.keyframes[4].sent);
  EXPECT_TRUE(sink_.keyframes[5].sent);
  EXPECT_TRUE(sink_.keyframes[5].idr);
  EXPECT_EQ(sink_.feedback.size(), sink_.keyframes.size() - 1);
}

TEST_F(LiveDeviceTest, StoppingEndsTheWaitForAServer) {
  const auto session = MakeSession(&clock_);
  const auto source = MakeSource(10);
  std::atomic<bool> stop{false};
  int attempts = 0;
  LiveDevice device(
      {.pace = false, .keep_trying = true}, session.get(), source.get(),
      [&]() -> Result<std::unique_ptr<Link>> {
        stop = ++attempts == 3;
        return Fail("nobody there");
      },
      &sink_);
  const auto totals = device.Run(stop);
  ASSERT_TRUE(totals) << totals.error().message;
  EXPECT_LE(totals->frames, 1);
}

// Each keyframe is answered with the same words but for its number.
TEST_F(LiveDeviceTest, WhyKeyframesCouldNotBeUsedIsSaidOnceAndCounted) {
  const TestLog log;
  auto segmenter = std::make_unique<FailingSegmenter>();
  const Profile profile = UncalibratedProfile("fake", segmenter->info().hash, kClasses);
  server_ = std::make_unique<LiveServer>(ServerOptions{}, profile, std::move(segmenter),
                                         MakeVideoDecoder, nullptr, nullptr);
  const auto session = MakeSession(&clock_);
  const auto source = MakeSource(5);
  LiveDevice device(
      {.pace = false}, session.get(), source.get(), [&] { return Connect(); }, &sink_);
  const auto totals = RunToTheEnd(device);
  ASSERT_TRUE(totals) << totals.error().message;
  EXPECT_EQ(totals->errors, 4);
  server_.reset();  // its threads log
  const std::string text = log.text();
  const size_t first = text.find("the server could not use keyframe 1: frame 1 is too much");
  ASSERT_NE(first, std::string::npos) << text;
  EXPECT_EQ(text.find("could not use", first + 20), std::string::npos) << text;
}

TEST_F(LiveDeviceTest, WithoutPaceALostAnswerIsGivenUp) {
  const auto totals = RunLosing(LosingLink::Loses::kAnswer, 200'000);
  ASSERT_TRUE(totals) << totals.error().message;
  EXPECT_EQ(totals->frames, 10);
  EXPECT_LE(sink_.feedback.size(), 9u);  // fewer where the machine is slow
}

TEST_F(LiveDeviceTest, WithoutPaceAnExpiredKeyframeIsNoticed) {
  const auto totals = RunLosing(LosingLink::Loses::kKeyframe, 3'600'000'000);
  ASSERT_TRUE(totals) << totals.error().message;
  EXPECT_EQ(totals->frames, 10);
  EXPECT_EQ(totals->expired, 1);
  EXPECT_EQ(sink_.feedback.size(), 9u);
  ASSERT_EQ(sink_.keyframes.size(), 10u);
  EXPECT_TRUE(sink_.keyframes[4].idr);
}

}  // namespace
}  // namespace stac
