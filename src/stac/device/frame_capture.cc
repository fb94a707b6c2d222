#include "stac/device/frame_capture.h"

#include <utility>

namespace stac {

void FrameCapture::Start(const std::atomic<bool>& stop) {
  thread_ = std::thread([this, &stop] { Loop(stop); });
}

void FrameCapture::Loop(const std::atomic<bool>& stop) {
  const bool live = source_->info().live;
  while (!stop) {
    auto next = source_->Next();
    if (next && !*next) break;
    CapturedFrame captured{next ? Result<Frame>(std::move(**next))
                                : Result<Frame>(tl::unexpected<Error>(std::move(next).error())),
                           clock_->Now()};
    const bool failed = !captured.frame;
    if (live && !failed) {
      const auto lost = frames_.PushDroppingOldest(std::move(captured));
      if (!lost) return;
      dropped_ += *lost;
    } else if (!frames_.Push(std::move(captured))) {
      return;
    }
    if (failed) break;
  }
  frames_.Close();
}

void FrameCapture::Stop() {
  if (!thread_.joinable()) return;
  frames_.Close();
  source_->Interrupt();
  thread_.join();
}

}  // namespace stac
