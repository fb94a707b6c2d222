#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace stac {

// Writes to standard error what is for eyes only. Where nobody can read it (a full disk, a closed
// terminal) it is lost, and nothing else.
void ShowOnStderr(std::string_view text);

// A progress bar with time left on standard error: redrawn in place on a terminal, a line every
// ten seconds elsewhere. Nothing is drawn in the first second, so short work stays quiet.
// Not thread-safe.
class Progress {
 public:
  Progress(std::string title, int64_t total);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `done` of `total` are finished; `note` (for example a loss) is shown behind the bar.
  void Update(int64_t done, const std::string& note = {});
  // Ends the line. Called by the destructor too.
  void Finish();

 private:
  using SteadyClock = std::chrono::steady_clock;
  std::string title_;
  int64_t total_;
  int64_t first_ = -1;
  bool terminal_;
  bool drawn_ = false;
  SteadyClock::time_point start_ = SteadyClock::now();
  SteadyClock::time_point last_ = start_;
};

}  // namespace stac
