#include <array>
#include <fstream>

#include "stac/segment/networks/networks.h"
#include "stac/segment/segmenter.h"
#include "stac/segment/torch_segmenter_internal.h"

namespace stac {

Result<std::unique_ptr<Segmenter>> LoadSegmenter(const std::string& path,
                                                 const SegmenterOptions& options) {
  // What kind of file it is shows in its first bytes; the loaders report what cannot be read.
  std::array<char, 8> start{};
  std::ifstream(path, std::ios::binary).read(start.data(), start.size());
  if (IsStacnet(AsBytes({start.data(), start.size()}))) return LoadStacnet(path, options);
  return LoadTorchScript(path, options);
}

}  // namespace stac
