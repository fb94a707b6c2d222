#pragma once

#include <functional>
#include <memory>
#include <string>

#include "stac/base/result.h"

struct AVIOContext;

namespace stac {

// A FIFO's bytes for FFmpeg, whose own way of reading them waits in the kernel, where nobody can
// end it. Not thread-safe. At the end of a writer's data there is the end of the stream.
class FifoInput {
 public:
  // Does not wait for a writer. `is_over` is asked every 50 ms while there is nothing to read; once
  // it says so, reading fails with AVERROR_EXIT.
  static Result<std::unique_ptr<FifoInput>> Open(const std::string& path,
                                                 std::function<bool()> is_over);
  ~FifoInput();
  FifoInput(const FifoInput&) = delete;
  FifoInput& operator=(const FifoInput&) = delete;

  AVIOContext* bytes() { return bytes_; }
  // Something was read.
  bool began() const { return began_; }

 private:
  FifoInput(int file, std::function<bool()> is_over);
  static int Read(void* self, uint8_t* to, int size);

  int file_;
  std::function<bool()> is_over_;
  AVIOContext* bytes_;
  bool began_ = false;
};

}  // namespace stac
