#pragma once

#include <memory>
#include <span>

#include "stac/base/result.h"
#include "stac/codec/nal_units.h"

namespace stac {

struct DecoderOptions;

// Reads the headers of access units before a decoder sees them, because FFmpeg papers over missing
// pictures without a word. Any bytes are accepted. Not thread-safe.
class SequenceGuard {
 public:
  virtual ~SequenceGuard() = default;
  // Whether the access unit can be decoded without those before it.
  virtual bool IsIdr(std::span<const NalUnit> access_unit) const = 0;
  // Fails if pictures are missing before this one, or if its parameters are missing, damaged or
  // not accepted here.
  virtual Status Check(std::span<const NalUnit> access_unit) = 0;
};

// Of H.264, by frame_num. Sizes are left to FFmpeg, which says them before it allocates.
std::unique_ptr<SequenceGuard> MakeH264Guard();
// Of H.265, by the picture order count of streams in which every picture follows the one before
// (no B-frames, no temporal layers; others are refused), and by the size that they announce, which
// FFmpeg allocates tables for at once.
std::unique_ptr<SequenceGuard> MakeH265Guard(const DecoderOptions& options);

}  // namespace stac
