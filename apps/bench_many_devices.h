#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "stac/base/result.h"
#include "stac/segment/segmenter.h"
#include "stac/server/live_server.h"
#include "stac/video/frame.h"

namespace stac {

struct ManyDevicesOptions {
  int devices = 8;  // 1, 2, 4 ... up to this many
  double keyframe_fps = 5;
  double seconds = 10;  // for each number of devices
  int threads = 0;      // of the network
  std::string network, device, input;
  Precision precision = Precision::kAuto;
  int width = 0, height = 0;
  LiveServerOptions live;
};

// Recorded devices stream over SRT on loopback to a server in this process, all at once, at the
// pace at which real devices would send (KeyframeSchedule). For each number of devices: who was
// accepted at which rate, keyframes answered per second, and the time from sending to the answer.
Result<nlohmann::ordered_json> BenchManyDevices(const ManyDevicesOptions& options);

}  // namespace stac
