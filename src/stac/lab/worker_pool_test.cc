#include "stac/lab/worker_pool.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>

#include "stac/base/file.h"
#include "stac/base/test_folder.h"

namespace stac {
namespace {

using ::testing::HasSubstr;

std::string Name(int64_t job) { return fmt::format("job {}", job); }

TEST(RunInProcesses, RunsEveryJobOnceInOtherProcesses) {
  const auto folder = std::filesystem::path(::testing::TempDir()) / fmt::format("pool{}", getpid());
  std::atomic<bool> stop = false;
  const pid_t parent = getpid();
  const auto make = [&]() -> Result<JobRunner> {
    return [&](int64_t job) -> Status {
      const auto path = folder / std::to_string(job);
      if (getpid() == parent) return Fail("in the parent");
      if (std::filesystem::exists(path)) return Fail("job {} ran twice", job);
      return WriteFile(path, std::string_view("x"));
    };
  };
  const Status status = RunInProcesses(20, 3, "test", make, Name, stop);
  EXPECT_TRUE(status.has_value()) << status.error().message;
  for (int job = 0; job < 20; ++job) {
    EXPECT_TRUE(std::filesystem::exists(folder / std::to_string(job)));
  }
}

TEST(RunInProcesses, FailuresAreCountedAndQuotedAndDoNotStopTheRest) {
  std::atomic<bool> stop = false;
  const auto make = []() -> Result<JobRunner> {
    return [](int64_t job) -> Status {
      if (job % 2 == 1) return Fail("number {} is odd", job);
      return OkStatus();
    };
  };
  const Status status = RunInProcesses(10, 2, "test", make, Name, stop);
  ASSERT_FALSE(status.has_value());
  EXPECT_THAT(status.error().message, HasSubstr("5 of 10 failed"));
  EXPECT_THAT(status.error().message, HasSubstr("is odd"));
}

TEST(RunInProcesses, ACrashIsReported) {
  std::atomic<bool> stop = false;
  const auto make = []() -> Result<JobRunner> {
    return [](int64_t job) -> Status {
      if (job == 0) raise(SIGKILL);
      return OkStatus();
    };
  };
  const Status status = RunInProcesses(4, 2, "test", make, Name, stop);
  ASSERT_FALSE(status.has_value());
  EXPECT_THAT(status.error().message, HasSubstr("died of signal 9"));
}

TEST(RunInProcesses, WhatADeadWorkerWouldHaveDoneIsDone) {
  const TestFolder folder;
  std::atomic<bool> stop = false;
  const auto make = [&]() -> Result<JobRunner> {
    return [&](int64_t job) -> Status {
      if (job < 3) raise(SIGKILL);
      return WriteFile(folder / std::to_string(job), std::string_view("x"));
    };
  };
  const Status status = RunInProcesses(6, 2, "test", make, Name, stop);
  ASSERT_FALSE(status.has_value());
  EXPECT_THAT(status.error().message, HasSubstr("3 of 6 failed, for example"));
  for (int job = 3; job < 6; ++job) {
    EXPECT_TRUE(std::filesystem::exists(folder / std::to_string(job))) << job;
  }
}

TEST(RunInProcesses, WorkersThatDieBeforeTheyBeginAreNotStartedForEver) {
  std::atomic<bool> stop = false;
  const auto make = []() -> Result<JobRunner> {
    raise(SIGKILL);
    return Fail("not reached");
  };
  const Status status = RunInProcesses(100, 2, "test", make, Name, stop);
  ASSERT_FALSE(status.has_value());
  EXPECT_THAT(status.error().message, HasSubstr("were not begun"));
}

TEST(RunInProcesses, StopsWhenAsked) {
  std::atomic<bool> stop = true;
  const auto make = []() -> Result<JobRunner> {
    return [](int64_t) -> Status {
      sleep(100);
      return OkStatus();
    };
  };
  const Status status = RunInProcesses(4, 2, "test", make, Name, stop);
  ASSERT_FALSE(status.has_value());
  EXPECT_THAT(status.error().message, HasSubstr("stopped after 0 of 4"));
}

}  // namespace
}  // namespace stac
