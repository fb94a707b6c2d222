#include "stac/capture/source_location.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "stac/base/file.h"

namespace stac {
namespace {

namespace fs = std::filesystem;
using Kind = SourceLocation::Kind;

TEST(SourceLocationTest, WhatIsInTheFileSystem) {
  const fs::path folder = fs::path(testing::TempDir()) / fmt::format("stac_location_{}", getpid());
  fs::create_directories(folder);
  ASSERT_TRUE(WriteFile(folder / "at 12:30.mp4", ""));
  ASSERT_EQ(mkfifo((folder / "fifo").c_str(), 0600), 0);
  const SourceLocation file = LocateSource((folder / "at 12:30.mp4").string());
  EXPECT_EQ(file.kind, Kind::kFile);
  EXPECT_EQ(file.path, "file:" + (folder / "at 12:30.mp4").string());
  EXPECT_EQ(file.short_name, "at 12:30");
  EXPECT_FALSE(file.live);
  EXPECT_EQ(LocateSource((folder / "fifo").string()).kind, Kind::kFifo);
  // FFmpeg knows better than we why it cannot be opened.
  const SourceLocation missing = LocateSource((folder / "missing.mp4").string());
  EXPECT_EQ(missing.kind, Kind::kOther);
  EXPECT_EQ(missing.path, (folder / "missing.mp4").string());
  EXPECT_FALSE(missing.url);
  fs::remove_all(folder);
}

TEST(SourceLocationTest, CamerasAndUrls) {
  const SourceLocation camera = LocateSource("/dev/video99");
  EXPECT_EQ(camera.kind, Kind::kCamera);
  EXPECT_TRUE(camera.live);
  const SourceLocation rtsp = LocateSource("rtsp://user:secret@host/1?key=hidden");
  EXPECT_EQ(rtsp.path, "rtsp://user:secret@host/1?key=hidden");
  EXPECT_EQ(rtsp.shown, "host/1");
  EXPECT_EQ(rtsp.short_name, "host/1");
  EXPECT_TRUE(rtsp.url && rtsp.live);
  const SourceLocation http = LocateSource("http://host/video.mp4");
  EXPECT_TRUE(http.url && !http.live);
}

}  // namespace
}  // namespace stac
