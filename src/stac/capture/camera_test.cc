// A V4L2 camera without a device: FFmpeg's calls to the system about it are answered here.
#include <dlfcn.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/videodev2.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdarg>
#include <cstring>
#include <ctime>
#include <future>
#include <thread>

#include "stac/capture/ffmpeg_source.h"

namespace stac {
namespace {

constexpr const char* kCamera = "/dev/video97";
constexpr const char* kLink = "/dev/v4l/by-id/usb-stac_camera-index0";
constexpr uint32_t kWidth = 64, kHeight = 48;
constexpr uint32_t kBufferBytes = 1 << 20;
constexpr int kBuffers = 4;

std::atomic<int> camera_fd{-1};
std::atomic<bool> camera_waits{false};  // opened without O_NONBLOCK
std::atomic<int> pictures_left{0};      // then it sends nothing more
std::atomic<int> first_picture_ms{0};   // after it is asked for the first time
std::atomic<int> cut_pictures{0};       // the first ones are cut short
std::atomic<int> times_asked{0};        // for a picture
std::chrono::steady_clock::time_point asked_first;

int OpenCamera(int flags) {
  camera_fd = memfd_create("camera", 0);
  EXPECT_EQ(ftruncate(camera_fd, kBuffers * kBufferBytes), 0);
  camera_waits = (flags & O_NONBLOCK) == 0;
  times_asked = 0;
  return camera_fd;
}

int GivePicture(v4l2_buffer& buffer) {
  if (times_asked++ == 0) asked_first = std::chrono::steady_clock::now();
  const auto passed = std::chrono::steady_clock::now() - asked_first;
  const bool there =
      pictures_left > 0 && passed >= std::chrono::milliseconds(first_picture_ms.load());
  if (!there) {
    if (camera_waits) std::this_thread::sleep_for(std::chrono::seconds(5));
    errno = camera_waits ? EIO : EAGAIN;
    return -1;
  }
  buffer.index = static_cast<uint32_t>(--pictures_left) % kBuffers;
  buffer.bytesused = kWidth * kHeight * 3 / 2 - (cut_pictures-- > 0 ? 100 : 0);
  buffer.flags = 0;
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  buffer.timestamp = {now.tv_sec, now.tv_nsec / 1000};
  return 0;
}

int AskCamera(unsigned long request, void* answer) {
  switch (request) {
    case VIDIOC_QUERYCAP:
      static_cast<v4l2_capability*>(answer)->capabilities =
          V4L2_CAP_VIDEO_CAPTURE | V4L2_CAP_STREAMING;
      return 0;
    case VIDIOC_G_FMT:
    case VIDIOC_S_FMT:
      static_cast<v4l2_format*>(answer)->fmt.pix = {.width = kWidth,
                                                    .height = kHeight,
                                                    .pixelformat = V4L2_PIX_FMT_YUV420,
                                                    .field = V4L2_FIELD_NONE,
                                                    .bytesperline = kWidth,
                                                    .sizeimage = kWidth * kHeight * 3 / 2};
      return 0;
    case VIDIOC_G_PARM:
    case VIDIOC_S_PARM:
      static_cast<v4l2_streamparm*>(answer)->parm.capture = {
          .capability = V4L2_CAP_TIMEPERFRAME, .timeperframe = {.numerator = 1, .denominator = 30}};
      return 0;
    case VIDIOC_REQBUFS:
      static_cast<v4l2_requestbuffers*>(answer)->count = kBuffers;
      return 0;
    case VIDIOC_QUERYBUF: {
      auto* buffer = static_cast<v4l2_buffer*>(answer);
      buffer->length = kWidth * kHeight * 3 / 2;
      buffer->m.offset = buffer->index * kBufferBytes;
      return 0;
    }
    case VIDIOC_DQBUF:
      return GivePicture(*static_cast<v4l2_buffer*>(answer));
    case VIDIOC_QBUF:
    case VIDIOC_STREAMON:
    case VIDIOC_STREAMOFF:
    case VIDIOC_ENUMINPUT:
    case VIDIOC_G_INPUT:
    case VIDIOC_S_INPUT:
      return 0;
  }
  errno = ENOTTY;
  return -1;
}

template <typename Function>
Function* Real(const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

TEST(CameraTest, GivesItsPicturesThenIsMissed) {
  pictures_left = 3;
  first_picture_ms = 0;
  auto source = OpenFfmpegSource(kCamera, {.patience_s = 0.5});
  ASSERT_TRUE(source) << source.error().message;
  EXPECT_TRUE((*source)->info().live);
  EXPECT_EQ((*source)->info().width, 64);
  EXPECT_DOUBLE_EQ((*source)->info().fps, 30);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE((*source)->Next().value());
  const auto next = (*source)->Next();
  ASSERT_FALSE(next);
  EXPECT_NE(next.error().message.find("it sent nothing for 0.5 s"), std::string::npos)
      << next.error().message;
}

TEST(CameraTest, PicturesThatAreCutShortAreSkipped) {
  pictures_left = 3;
  first_picture_ms = 0;
  cut_pictures = 2;
  auto source = OpenFfmpegSource(kCamera, {.patience_s = 0.5});
  ASSERT_TRUE(source) << source.error().message;
  EXPECT_TRUE((*source)->Next().value());
  EXPECT_FALSE((*source)->Next());
}

TEST(CameraTest, InterruptEndsANextThatWaits) {
  pictures_left = 1;
  first_picture_ms = 0;
  auto source = OpenFfmpegSource(kCamera, {.patience_s = 3600});
  ASSERT_TRUE(source) << source.error().message;
  ASSERT_TRUE((*source)->Next().value());
  auto next = std::async(std::launch::async, [&] { return (*source)->Next(); });
  EXPECT_EQ(next.wait_for(std::chrono::milliseconds(100)), std::future_status::timeout);
  (*source)->Interrupt();
  EXPECT_EQ(next.get().value(), std::nullopt);
}

TEST(CameraTest, IsOpenedByItsLinkToo) {
  pictures_left = 1;
  first_picture_ms = 0;
  const auto source = OpenFfmpegSource(kLink, {.patience_s = 0.5});
  ASSERT_TRUE(source) << source.error().message;
  EXPECT_TRUE((*source)->info().live);
}

// A camera may take seconds; what else runs needs the processor meanwhile.
TEST(CameraTest, WaitingForTheFirstPictureDoesNotSpin) {
  pictures_left = 1;
  first_picture_ms = 400;
  const auto source = OpenFfmpegSource(kCamera, {.patience_s = 10});
  ASSERT_TRUE(source) << source.error().message;
  EXPECT_LE(times_asked, 1000);
}

}  // namespace
}  // namespace stac

// These stand before the C library's for the whole program, as a preloaded library would.
extern "C" int open64(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = va_arg(more, mode_t);
  va_end(more);
  if (std::strcmp(path, stac::kCamera) == 0) return stac::OpenCamera(flags);
  return stac::Real<int(const char*, int, ...)>("open64")(path, flags, mode);
}

extern "C" int ioctl(int fd, unsigned long request, ...) noexcept {
  va_list more;
  va_start(more, request);
  void* answer = va_arg(more, void*);
  va_end(more);
  if (fd >= 0 && fd == stac::camera_fd) return stac::AskCamera(request & 0xFFFFFFFF, answer);
  return stac::Real<int(int, unsigned long, ...)>("ioctl")(fd, request, answer);
}

extern "C" char* realpath(const char* path, char* resolved) noexcept {
  if (std::strcmp(path, stac::kLink) == 0) return strdup(stac::kCamera);
  return stac::Real<char*(const char*, char*)>("realpath")(path, resolved);
}
