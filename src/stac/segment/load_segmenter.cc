#include <array>
#include <fstream>

#include "stac/segment/networks/networks.h"
#include "stac/segment/networks/stacnet_internal.h"
#include "stac/segment/segmenter.h"
#include "stac/segment/torch_segmenter_internal.h"

namespace stac {

// What kind of file it is shows in its first bytes; the loaders report what cannot be read.
Result<TorchNetwork> OpenNetwork(const std::string& path, const at::Device& device,
                                 Precision wanted, Passes passes) {
  STAC_ASSIGN_OR_RETURN(const Precision precision, ChoosePrecision(wanted, device));
  std::array<char, 8> start{};
  std::ifstream(path, std::ios::binary).read(start.data(), start.size());
  if (IsStacnet(AsBytes({start.data(), start.size()}))) return OpenStacnet(path, device, precision);
  // LibTorch 1.13 lacks some operations in bfloat16, and others (ESPNetv2 at 2048x1024) overwrite
  // the heap.
  if (precision == Precision::kHalf && !device.is_cuda())
    return Fail(
        "on a CPU half precision is for .stacnet weight files only, not for a TorchScript file "
        "like {}: use precision float or half-gradient",
        path);
  return OpenTorchScript(path, device, precision, passes);
}

Result<std::unique_ptr<Segmenter>> LoadSegmenter(const std::string& path,
                                                 const SegmenterOptions& options) {
  STAC_ASSIGN_OR_RETURN(const at::Device device, ChooseDevice(options.device));
  STAC_ASSIGN_OR_RETURN(TorchNetwork network, OpenNetwork(path, device, options.precision));
  return MakeTorchSegmenter(std::move(network), options);
}

}  // namespace stac
