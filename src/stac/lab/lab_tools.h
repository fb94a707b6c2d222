#pragma once

#include <functional>
#include <memory>
#include <string>

#include "stac/capture/frame_source.h"
#include "stac/device/device_session.h"
#include "stac/flow/optical_flow.h"
#include "stac/lab/jpeg_stream.h"
#include "stac/segment/segmenter.h"
#include "stac/server/server_session.h"

namespace stac {

// Importance of each 16x16 macroblock of a frame: what a device's own small network says.
using MacroblockScorer = std::function<Result<SensitivityMap>(const Frame&)>;

// The implementations that the lab drives; the program names them, tests use fakes.
struct LabTools {
  std::function<Result<std::unique_ptr<FrameSource>>(const std::string&, const SourceOptions&)>
      open_source;
  std::function<Result<std::unique_ptr<Segmenter>>(const std::string& path,
                                                   const SegmenterOptions&)>
      load_network;
  std::function<Result<MacroblockScorer>(const std::string& path)> load_scorer;
  std::function<std::unique_ptr<OpticalFlow>()> make_flow;
  DeviceSession::EncoderFactory make_encoder;
  ServerSession::DecoderFactory make_decoder;
  JpegFunctions jpeg;
};

}  // namespace stac
