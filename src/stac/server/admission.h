#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace stac {

struct AdmissionOptions {
  // The share of the time that the network may be busy for all devices together; 0: every device
  // is accepted, and nobody is told a rate.
  double max_load = 0;
  double keyframe_fps = 5;      // granted to a device where there is room for it
  double min_keyframe_fps = 1;  // a device that would get less is refused, unless it is alone
};

// Decides who may stream how fast, so that devices already there keep their latency: a newcomer is
// granted what is left of the capacity, by the measured cost of a keyframe, or refused. The first
// gets the least rate whatever was measured: that may have been an exception, and only its
// keyframes can tell. What was granted is not taken back, and raised where room is made. Not
// thread-safe.
class Admission {
 public:
  explicit Admission(const AdmissionOptions& options) : options_(options) {}

  struct Verdict {
    bool accepted = false;
    double max_keyframe_fps = 0;  // 0: no limit
    std::string reason;           // of a refusal, for the device
  };
  // `device`: any number that is in use by no other. `pixels`: of its frames; `fps`: of its camera.
  // Until a keyframe has been measured, everybody gets the full rate.
  Verdict Admit(int64_t device, int64_t pixels, double fps);
  void Leave(int64_t device) { granted_.erase(device); }
  // What a device is granted by now; 0: no limit. Where it got less than it asked for and there is
  // room, it is more than before, by a tenth at least. A tenth of max_load stays free: costs are
  // measured with an error, and what is raised stays.
  double Rate(int64_t device);
  // A keyframe of so many pixels kept the network busy for so long. One that took many times the
  // mean, as when the machine stood still, counts as four times that.
  void OnKeyframe(int64_t pixels, double busy_ms);

  bool measured() const { return us_per_pixel_ > 0; }
  // The share of the time that all granted rates need.
  double load() const;

 private:
  struct Grant {
    int64_t pixels;
    double wanted_fps;
    double keyframe_fps;
  };
  double Seconds(int64_t pixels) const;

  AdmissionOptions options_;
  std::map<int64_t, Grant> granted_;
  double us_per_pixel_ = 0;
  int64_t keyframes_ = 0;  // measured
};

}  // namespace stac
