#include "stac/capture/fifo_input.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "stac/capture/ffmpeg_internal.h"

namespace stac {
namespace {

constexpr int kBufferBytes = 64 << 10;  // what a pipe holds
constexpr int kAskEveryMs = 50;

}  // namespace

Result<std::unique_ptr<FifoInput>> FifoInput::Open(const std::string& path,
                                                   std::function<bool()> is_over) {
  const int file = open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (file < 0) return Fail("cannot open {}: {}", path, std::strerror(errno));
  std::unique_ptr<FifoInput> input(new FifoInput(file, std::move(is_over)));
  if (input->bytes_ == nullptr) return Fail("out of memory");
  return input;
}

FifoInput::FifoInput(int file, std::function<bool()> is_over)
    : file_(file),
      is_over_(std::move(is_over)),
      bytes_(avio_alloc_context(static_cast<unsigned char*>(av_malloc(kBufferBytes)), kBufferBytes,
                                /*write_flag=*/0, this, &FifoInput::Read, nullptr, nullptr)) {}

FifoInput::~FifoInput() {
  if (bytes_ != nullptr) av_freep(&bytes_->buffer);  // FFmpeg may have taken another one
  avio_context_free(&bytes_);
  close(file_);
}

int FifoInput::Read(void* self, uint8_t* to, int size) {
  auto* input = static_cast<FifoInput*>(self);
  for (int wait_ms = 0;; wait_ms = kAskEveryMs) {
    // Before anybody has opened it for writing, a read would tell of an end; this does not.
    pollfd ready{.fd = input->file_, .events = POLLIN, .revents = 0};
    const int count = poll(&ready, 1, wait_ms);
    const ssize_t length = count > 0 ? read(input->file_, to, static_cast<size_t>(size)) : -1;
    if (length == 0) return AVERROR_EOF;
    if (length > 0) {
      input->began_ = true;
      return static_cast<int>(length);
    }
    if (count != 0 && errno != EAGAIN && errno != EINTR) return AVERROR(errno);
    if (input->is_over_()) return AVERROR_EXIT;
  }
}

}  // namespace stac
