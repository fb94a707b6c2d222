#include "stac/base/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace stac {
namespace {

std::string Duration(double seconds) {
  const auto whole = static_cast<int64_t>(seconds + 0.5);
  if (whole >= 3600) return fmt::format("{}h{:02}m", whole / 3600, whole / 60 % 60);
  if (whole >= 60) return fmt::format("{}m{:02}s", whole / 60, whole % 60);
  return fmt::format("{}s", whole);
}

}  // namespace

void ShowOnStderr(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

Progress::Progress(std::string title, int64_t total)
    : title_(std::move(title)), total_(std::max<int64_t>(total, 1)), terminal_(isatty(2) == 1) {}

Progress::~Progress() { Finish(); }

void Progress::Update(int64_t done, const std::string& note) {
  if (first_ < 0) first_ = std::max<int64_t>(done - 1, 0);  // what was done before does not count
  const auto now = SteadyClock::now();
  const double elapsed = std::chrono::duration<double>(now - start_).count();
  const double since_last = std::chrono::duration<double>(now - last_).count();
  const bool last_one = done >= total_;
  if (elapsed < 1.0 || (!last_one && since_last < (terminal_ ? 0.2 : 10.0))) return;
  last_ = now;
  drawn_ = true;
  const double fraction = std::clamp(static_cast<double>(done) / total_, 0.0, 1.0);
  const double rate = static_cast<double>(done - first_) / elapsed;
  const std::string left =
      last_one ? "took " + Duration(elapsed)
               : (rate > 0 ? Duration((total_ - done) / rate) + " left" : "estimating");
  constexpr int kWidth = 24;
  const int filled = static_cast<int>(fraction * kWidth);
  ShowOnStderr(fmt::format("{}{} [{:#<{}}{:.<{}}] {}/{}  {}{}{}{}", terminal_ ? "\r" : "", title_,
                           "", filled, "", kWidth - filled, done, total_, left,
                           note.empty() ? "" : "  ", note, terminal_ ? "\x1b[K" : "\n"));
}

void Progress::Finish() {
  if (drawn_ && terminal_) ShowOnStderr("\n");
  drawn_ = false;
}

}  // namespace stac
