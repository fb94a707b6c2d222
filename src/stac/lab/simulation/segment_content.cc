#include "stac/lab/simulation/segment_content.h"

#include "stac/base/check.h"

namespace stac {
namespace {

constexpr int kPreencodeQp = 32;

}  // namespace

Result<ContentKind> ParseContentKind(const std::string& text) {
  if (text == "content") return ContentKind::kMetrics;
  if (text == "no-c") return ContentKind::kWithoutC;
  if (text == "no-d") return ContentKind::kWithoutD;
  if (text == "preencoded") return ContentKind::kPreencoded;
  return Fail("'{}' is not known; use content, no-c, no-d or preencoded", text);
}

Result<ContentMetrics> PreencodedBits(const Frame& before, const Frame& now,
                                      const LabTools& tools) {
  EncoderOptions options;
  options.width = now.width();
  options.height = now.height();
  options.color = now.color();
  options.preset = "veryfast";
  STAC_ASSIGN_OR_RETURN(const auto encoder, tools.make_encoder(options));
  const RegionGrid grid{.frame_width = now.width(), .frame_height = now.height()};
  const QpMap qp(grid.mb_columns(), grid.mb_rows(), static_cast<uint8_t>(kPreencodeQp));
  STAC_RETURN_IF_ERROR(encoder->Encode(before, &qp, true));
  STAC_ASSIGN_OR_RETURN(const EncodedFrame after, encoder->Encode(now, &qp, false));
  STAC_ASSIGN_OR_RETURN(const EncodedFrame alone, encoder->Encode(now, &qp, true));
  return ContentMetrics{.c = 8.0 * static_cast<double>(alone.access_unit.size()),
                        .d = 8.0 * static_cast<double>(after.access_unit.size())};
}

void SegmentContent::OnFrame(const Frame& frame) {
  if (kind_ != ContentKind::kPreencoded) meter_.Add(frame);
}

Result<ContentMetrics> SegmentContent::BeforeSecond(FrameId next) {
  STAC_CHECK(next > 0);
  if (kind_ == ContentKind::kPreencoded) {
    const std::pair shown(frames_.ClipFrame(next - 1), frames_.ClipFrame(next));
    const auto found = preencoded_.find(shown);
    if (found != preencoded_.end()) return found->second;
    STAC_ASSIGN_OR_RETURN(const ContentMetrics bits,
                          PreencodedBits(frames_.At(next - 1), frames_.At(next), tools_));
    return preencoded_[shown] = bits;
  }
  ContentMetrics metrics = meter_.TakeAverage().value_or(ContentMetrics{});
  if (kind_ == ContentKind::kWithoutC) metrics.c = 1;
  if (kind_ == ContentKind::kWithoutD) metrics.d = 1;
  return metrics;
}

}  // namespace stac
