// FIFOs as sources: through FFmpeg, as they are read.
#include "stac/capture/fifo_input.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <future>
#include <optional>
#include <thread>

#include "stac/capture/ffmpeg_source.h"

namespace stac {
namespace {

namespace fs = std::filesystem;
using Opened = Result<std::unique_ptr<FrameSource>>;

class FifoInputTest : public testing::Test {
 protected:
  FifoInputTest()
      : fifo_(fs::path(testing::TempDir()) / fmt::format("stac_fifo_input_test_{}", getpid())) {
    fs::remove(fifo_);
    EXPECT_EQ(mkfifo(fifo_.c_str(), 0600), 0);
  }
  ~FifoInputTest() override {
    CloseWriter();
    fs::remove(fifo_);
  }

  // Three pictures in raw video, which a pipe holds.
  void Write() {
    std::string bytes = "YUV4MPEG2 W48 H32 F10:1 C420jpeg\n";
    for (int i = 0; i < 3; ++i) bytes += "FRAME\n" + std::string(48 * 32 * 3 / 2, 'a');
    writer_ = open(fifo_.c_str(), O_WRONLY);  // waits for a reader
    ASSERT_EQ(write(writer_, bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  void CloseWriter() {
    if (writer_ >= 0) close(writer_);
    writer_ = -1;
  }
  std::future<Opened> StartOpening(SourceOptions options = {}) {
    return std::async(std::launch::async,
                      [this, options] { return OpenFfmpegSource(fifo_.string(), options); });
  }
  Opened OpenAndWrite(const SourceOptions& options) {
    auto opening = StartOpening(options);
    Write();
    return opening.get();
  }

  fs::path fifo_;
  int writer_ = -1;
};

TEST_F(FifoInputTest, EndsWithItsWriter) {
  auto source = OpenAndWrite({});
  CloseWriter();
  ASSERT_TRUE(source) << source.error().message;
  EXPECT_FALSE((*source)->info().live);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE((*source)->Next().value());
  EXPECT_EQ((*source)->Next().value(), std::nullopt);
}

TEST_F(FifoInputTest, AWriterThatStallsIsAnError) {
  auto source = OpenAndWrite({.patience_s = 0.3});
  ASSERT_TRUE(source) << source.error().message;
  for (int i = 0; i < 3; ++i) ASSERT_TRUE((*source)->Next().value());
  auto next = std::async(std::launch::async, [&] { return (*source)->Next(); });
  if (next.wait_for(std::chrono::seconds(20)) != std::future_status::ready) CloseWriter();
  const auto result = next.get();
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message.find("it sent nothing for 0.3 s"), std::string::npos)
      << result.error().message;
}

TEST_F(FifoInputTest, InterruptEndsANextThatWaits) {
  auto source = OpenAndWrite({.patience_s = 3600});
  ASSERT_TRUE(source) << source.error().message;
  for (int i = 0; i < 3; ++i) ASSERT_TRUE((*source)->Next().value());
  auto next = std::async(std::launch::async, [&] { return (*source)->Next(); });
  EXPECT_EQ(next.wait_for(std::chrono::milliseconds(100)), std::future_status::timeout);
  (*source)->Interrupt();
  EXPECT_EQ(next.wait_for(std::chrono::seconds(20)), std::future_status::ready);
  CloseWriter();
  EXPECT_EQ(next.get().value(), std::nullopt);
}

// Its header alone takes longer than the patience, but it comes.
TEST_F(FifoInputTest, AWriterMayBeSlow) {
  auto opening = StartOpening({.patience_s = 1});
  writer_ = open(fifo_.c_str(), O_WRONLY);
  const std::string header = "YUV4MPEG2 W48 H32 F10:1 C420jpeg";
  for (const char& byte : header) {
    std::this_thread::sleep_for(std::chrono::milliseconds(60));
    ASSERT_EQ(write(writer_, &byte, 1), 1);
  }
  const std::string picture = "\nFRAME\n" + std::string(48 * 32 * 3 / 2, 'a');
  ASSERT_EQ(write(writer_, picture.data(), picture.size()), static_cast<ssize_t>(picture.size()));
  CloseWriter();
  const auto source = opening.get();
  ASSERT_TRUE(source) << source.error().message;
  EXPECT_TRUE((*source)->Next().value());
}

TEST_F(FifoInputTest, AWriterMayComeLate) {
  auto opening = StartOpening({.patience_s = 0.5});
  EXPECT_EQ(opening.wait_for(std::chrono::milliseconds(800)), std::future_status::timeout);
  Write();
  const auto source = opening.get();
  ASSERT_TRUE(source) << source.error().message;
  EXPECT_TRUE((*source)->Next().value());
}

TEST_F(FifoInputTest, WaitingForAWriterEndsWhenItIsStopped) {
  std::atomic<bool> stop{false};
  auto opening = StartOpening({.stop = &stop});
  EXPECT_EQ(opening.wait_for(std::chrono::milliseconds(100)), std::future_status::timeout);
  stop = true;
  const auto state = opening.wait_for(std::chrono::seconds(20));
  EXPECT_EQ(state, std::future_status::ready);
  if (state != std::future_status::ready) Write();
  const auto source = opening.get();
  ASSERT_FALSE(source);
  EXPECT_NE(source.error().message.find("interrupted"), std::string::npos)
      << source.error().message;
}

}  // namespace
}  // namespace stac
