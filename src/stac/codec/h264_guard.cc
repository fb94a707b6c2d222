#include <algorithm>
#include <optional>

#include "stac/codec/sequence_guard.h"

namespace stac {
namespace {

class H264Guard final : public SequenceGuard {
 public:
  bool IsIdr(std::span<const NalUnit> access_unit) const override {
    return std::any_of(access_unit.begin(), access_unit.end(),
                       [](const NalUnit& unit) { return unit.type() == kNalIdrSlice; });
  }

  Status Check(std::span<const NalUnit> access_unit) override {
    for (const NalUnit& unit : access_unit) {
      if (unit.type() == kNalSps) frame_number_bits_ = FrameNumberBits(unit);
      if (!unit.IsSlice()) continue;
      if (!frame_number_bits_) return Fail("the stream's parameters are missing or damaged");
      const auto number = FrameNumber(unit, *frame_number_bits_);
      const uint32_t expected = (last_reference_ + 1) & ((uint32_t{1} << *frame_number_bits_) - 1);
      if (!number || (unit.type() != kNalIdrSlice && *number != expected)) {
        return Fail("pictures are missing before this one: ask for an IDR");
      }
      if (unit.IsReference()) last_reference_ = *number;
      return OkStatus();  // all slices of a picture have the same number
    }
    return OkStatus();
  }

 private:
  std::optional<int> frame_number_bits_;
  uint32_t last_reference_ = 0;  // frame_num of the last reference picture
};

}  // namespace

std::unique_ptr<SequenceGuard> MakeH264Guard() { return std::make_unique<H264Guard>(); }

}  // namespace stac
