#include <algorithm>
#include <optional>
#include <string>

#include "stac/codec/sequence_guard.h"
#include "stac/codec/video_decoder.h"

namespace stac {
namespace {

// H.265 table 7-1. Slices are 0..31, of which 16..23 are random access points.
constexpr int kIdrWithLeading = 19;
constexpr int kIdr = 20;
constexpr int kSps = 33;
constexpr int kPps = 34;

bool IsIdrType(int type) { return type == kIdrWithLeading || type == kIdr; }
BitReader PayloadOf(const NalUnit& unit) { return BitReader(unit, 2); }

struct Sequence {
  uint32_t width = 0;
  uint32_t height = 0;
  int count_bits = 0;  // of pic_order_cnt_lsb
};

// A sequence parameter set (H.265 7.3.2.2) up to what is needed here; nullopt if it is malformed,
// has temporal layers or is not of 8-bit 4:2:0 pictures.
std::optional<Sequence> ParseSps(const NalUnit& unit) {
  BitReader bits = PayloadOf(unit);
  bits.Bits(4);                                 // video parameter set
  if (bits.Bits(3) != 0u) return std::nullopt;  // temporal layers
  bits.Bits(1);
  for (int i = 0; i < 3; ++i) bits.Bits(32);  // profile, constraints, level
  bits.Ue();                                  // identifier
  if (bits.Ue() != 1u) return std::nullopt;   // 4:2:0
  const auto width = bits.Ue();
  const auto height = bits.Ue();
  if (bits.Bits(1) == 1u) {
    for (int i = 0; i < 4; ++i) bits.Ue();  // what is cut away
  }
  if (bits.Ue() != 0u || bits.Ue() != 0u) return std::nullopt;  // bit depths above 8
  const auto log2_minus4 = bits.Ue();
  if (!width || !height || !log2_minus4 || *log2_minus4 > 12) return std::nullopt;
  return Sequence{*width, *height, static_cast<int>(*log2_minus4) + 4};
}

struct PictureParameters {
  bool output_flag = false;
  int extra_bits = 0;  // reserved ones in slice headers
};

std::optional<PictureParameters> ParsePps(const NalUnit& unit) {
  BitReader bits = PayloadOf(unit);
  bits.Ue();  // identifiers
  bits.Ue();
  bits.Bits(1);
  const auto output_flag = bits.Bits(1);
  const auto extra_bits = bits.Bits(3);
  if (!extra_bits) return std::nullopt;
  return PictureParameters{*output_flag == 1, static_cast<int>(*extra_bits)};
}

class H265Guard final : public SequenceGuard {
 public:
  H265Guard(int max_width, int max_height) : max_width_(max_width), max_height_(max_height) {}

  bool IsIdr(std::span<const NalUnit> access_unit) const override {
    return std::any_of(access_unit.begin(), access_unit.end(),
                       [](const NalUnit& unit) { return IsIdrType(unit.h265_type()); });
  }

  Status Check(std::span<const NalUnit> access_unit) override {
    std::optional<NalUnit> first;  // slice of the picture: all of them have the same count
    for (const NalUnit& unit : access_unit) {
      const int type = unit.h265_type();
      if (type == kSps) {
        sequence_ = ParseSps(unit);
        STAC_RETURN_IF_ERROR(CheckSize());
      }
      if (type == kPps) picture_ = ParsePps(unit);
      if (type >= 32 || PayloadOf(unit).Bits(1) != 1u) continue;
      // Refused before FFmpeg makes room for another one, which may have parameters of its own.
      if (first) return Fail("the message holds more than one picture");
      first = unit;
    }
    return first ? CheckSlice(*first) : OkStatus();
  }

 private:
  Status CheckSize() const {
    if (!sequence_) {
      return Fail("the stream's parameters are damaged, or not of 8-bit 4:2:0 in one layer");
    }
    // Coded sizes are rounded up to the smallest block.
    const auto allowed = [](int size) { return static_cast<uint32_t>(size) + 63; };
    if (sequence_->width > allowed(max_width_) || sequence_->height > allowed(max_height_)) {
      return Fail("pictures of {}x{} are larger than the {}x{} accepted here", sequence_->width,
                  sequence_->height, max_width_, max_height_);
    }
    return OkStatus();
  }

  Status CheckSlice(const NalUnit& unit) {
    if (!sequence_ || !picture_) return Fail("the stream's parameters are missing or damaged");
    const int type = unit.h265_type();
    if (IsIdrType(type)) {
      last_count_ = 0;
      return OkStatus();
    }
    BitReader bits = PayloadOf(unit);
    bits.Bits(type >= 16 ? 2 : 1);  // it is the first one; what to do with earlier pictures
    bits.Ue();                      // picture parameter set
    bits.Bits(picture_->extra_bits);
    bits.Ue();  // slice type
    if (picture_->output_flag) bits.Bits(1);
    const auto count = bits.Bits(sequence_->count_bits);
    const uint32_t expected = (last_count_ + 1) & ((uint32_t{1} << sequence_->count_bits) - 1);
    if (count != expected) {
      return Fail("pictures are missing before this one: ask for an IDR");
    }
    last_count_ = expected;
    return OkStatus();
  }

  const int max_width_;
  const int max_height_;
  std::optional<Sequence> sequence_;
  std::optional<PictureParameters> picture_;
  uint32_t last_count_ = 0;
};

}  // namespace

std::unique_ptr<SequenceGuard> MakeH265Guard(const DecoderOptions& options) {
  return std::make_unique<H265Guard>(options.max_width, options.max_height);
}

}  // namespace stac
