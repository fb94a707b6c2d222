#include "device_files.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <future>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "stac/base/file.h"
#include "stac/base/test_folder.h"

namespace stac {
namespace {

void Record(DeviceRecorder& recorder, const FrameRecord& record, const LabelMap& labels) {
  recorder.OnFrame(record, Frame(labels.width(), labels.height(), ColorSpec{}), labels);
}

TEST(DeviceRecorderTest, LabelsThatCannotBeWrittenEndTheRun) {
  const TestFolder folder;
  std::atomic<bool> stop{false};
  auto recorder =
      DeviceRecorder::Create({.labels = (folder / "labels").string()}, false, &stop).value();
  std::filesystem::remove_all(folder / "labels");
  ASSERT_TRUE(WriteFile(folder / "labels", "no folder any more"));
  Record(*recorder, {.frame = 1}, LabelMap(16, 16, 0));
  for (int i = 0; i < 2000 && !stop; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_TRUE(stop);
  EXPECT_FALSE(recorder->Finish());
}

// A pipe in place of standard output, of which nobody reads.
class UnreadOutput {
 public:
  UnreadOutput() : before_(dup(STDOUT_FILENO)) {
    std::fflush(stdout);
    EXPECT_EQ(pipe(ends_), 0);
    dup2(ends_[1], STDOUT_FILENO);
    close(ends_[1]);
  }
  ~UnreadOutput() {
    dup2(before_, STDOUT_FILENO);
    close(before_);
  }
  void CloseReader() { close(ends_[0]); }

 private:
  int before_;
  int ends_[2];
};

TEST(DeviceRecorderTest, AReaderThatTakesNothingDoesNotKeepTheRunFromStopping) {
  std::signal(SIGPIPE, SIG_IGN);
  std::atomic<bool> stop{false};
  auto recorder = DeviceRecorder::Create({.labels = "-"}, false, &stop).value();
  std::mt19937 random(1);
  LabelMap noise(256, 256);  // of which a pipe holds no two
  for (uint8_t& label : noise) label = static_cast<uint8_t>(random());
  Status status = OkStatus();
  {
    UnreadOutput output;
    for (FrameId id = 1; id <= 3; ++id) Record(*recorder, {.frame = id}, noise);
    stop = true;
    auto finished = std::async(std::launch::async, [&] { return recorder->Finish(); });
    EXPECT_EQ(finished.wait_for(std::chrono::seconds(20)), std::future_status::ready);
    output.CloseReader();
    status = finished.get();
  }
  ASSERT_FALSE(status);
  EXPECT_NE(status.error().message.find("its reader takes no more"), std::string::npos)
      << status.error().message;
}

TEST(DeviceRecorderTest, TheSummaryHasMeansAndPercentiles) {
  std::atomic<bool> stop{false};
  auto recorder = DeviceRecorder::Create({}, false, &stop).value();
  for (FrameId id = 1; id <= 100; ++id) {
    Record(*recorder, {.frame = id, .label_latency_ms = 1.0 * id, .propagate_ms = 2.0 * id},
           LabelMap(16, 16, 0));
  }
  const auto summary = nlohmann::json::parse(recorder->Summary({.frames = 100, .errors = 7}, 15));
  EXPECT_EQ(summary["errors"], 7);
  EXPECT_EQ(summary["stage_ms"]["propagate"], 101);
  EXPECT_NEAR(summary["label_latency_ms"]["p50"].get<double>(), 50, 0.5);
  EXPECT_NEAR(summary["label_latency_ms"]["p99"].get<double>(), 99, 1);
}

}  // namespace
}  // namespace stac
