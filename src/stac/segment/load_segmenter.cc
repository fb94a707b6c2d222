#include "stac/segment/segmenter.h"
#include "stac/segment/torch_segmenter_internal.h"

namespace stac {

Result<std::unique_ptr<Segmenter>> LoadSegmenter(const std::string& path,
                                                 const SegmenterOptions& options) {
  return LoadTorchScript(path, options);
}

}  // namespace stac
