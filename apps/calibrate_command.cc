#include <memory>

#include "command.h"
#include "network_files.h"
#include "stac/base/log.h"
#include "stac/base/progress.h"
#include "stac/capture/frame_source.h"
#include "stac/quant/calibrate.h"

namespace stac {
namespace {

struct Options {
  std::string network = DefaultNetwork();
  std::vector<std::string> inputs;
  int frames = 20;
  int levels = 32;
  double min_qp = 10;
  double max_qp = 51;
  int max_width = 0;
  std::string out;
};

