#include "stac/lab/jpeg_stream.h"

#include <algorithm>
#include <cmath>
#include <span>

namespace stac {
namespace {

class JpegStreamEncoder final : public VideoEncoder {
 public:
  JpegStreamEncoder(const JpegTables& tables, JpegFunctions functions)
      : tables_(tables), functions_(std::move(functions)) {}

  Result<EncodedFrame> Encode(const Frame& frame, const QpMap*, bool) override {
    EncodedFrame out{.id = frame.id, .idr = true};
    STAC_ASSIGN_OR_RETURN(out.access_unit, functions_.encode(frame, tables_));
    return out;
  }
  Status SetBitrate(double) override { return Fail("JPEG streams have no rate control"); }
  std::string Describe() const override { return "JPEG, optimized Huffman codes, 4:2:0"; }

 private:
  JpegTables tables_;
  JpegFunctions functions_;
};

class JpegStreamDecoder final : public VideoDecoder {
 public:
  JpegStreamDecoder(ColorSpec color, JpegFunctions functions)
      : color_(color), functions_(std::move(functions)) {}

  Result<DecodedFrame> Decode(ByteSpan access_unit) override {
    STAC_ASSIGN_OR_RETURN(Frame frame, functions_.decode(access_unit, color_));
    return DecodedFrame{.frame = std::move(frame), .idr = true};
  }

 private:
  ColorSpec color_;
  JpegFunctions functions_;
};

void FillTable(std::span<const double, 64> gradients, double numerator,
               std::array<uint8_t, 64>& table) {
  for (size_t n = 0; n < 64; ++n) {
    const double step = numerator / std::max(gradients[n], 1e-30);
    table[n] = static_cast<uint8_t>(std::lround(std::clamp(step, 1.0, 255.0)));
  }
}

}  // namespace

std::unique_ptr<VideoEncoder> MakeJpegStreamEncoder(const JpegTables& tables,
                                                    JpegFunctions functions) {
  return std::make_unique<JpegStreamEncoder>(tables, std::move(functions));
}

std::unique_ptr<VideoDecoder> MakeJpegStreamDecoder(ColorSpec color, JpegFunctions functions) {
  return std::make_unique<JpegStreamDecoder>(color, std::move(functions));
}

JpegTables GraceTables(const FrequencyGradients& gradients, double step) {
  double mean_log = 0;
  for (const double g : gradients.luma8) mean_log += std::log(std::max(g, 1e-30)) / 64;
  const double numerator = step * std::exp(mean_log);  // 2 B / M
  JpegTables tables;
  FillTable(gradients.luma8, numerator, tables.luma);
  FillTable(gradients.cb8, numerator, tables.cb);
  FillTable(gradients.cr8, numerator, tables.cr);
  return tables;
}

}  // namespace stac
