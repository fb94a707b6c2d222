// How a live device ends.
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <thread>

#include "live_test_parts.h"

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

}  // namespace
}  // namespace stac
