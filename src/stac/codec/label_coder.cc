#include "stac/codec/label_coder.h"

#include "stac/base/check.h"
#include "stac/codec/context_coder_internal.h"

namespace stac {
namespace {

constexpr uint8_t kPlain = 1;      // coded from its own neighbourhood
constexpr uint8_t kPredicted = 2;  // and from a map that both sides hold
constexpr int kBorder = 2;         // cells around the maps, so that no neighbour needs a test

constexpr int kInputs = 5;
constexpr int kRate = 6;
constexpr int kLimit = 250;
constexpr int kHashBits = 16;

// A map with a border of kUnlabelled above and to the sides (and below).
class Bordered {
 public:
  Bordered(int width, int height)
      : stride_(width + 2 * kBorder),
        cells_(static_cast<size_t>(stride_) * (height + 2 * kBorder), kUnlabelled) {}
  explicit Bordered(const LabelMap& map) : Bordered(map.width(), map.height()) {
    for (int y = 0; y < map.height(); ++y) {
      std::copy(map.Row(y).begin(), map.Row(y).end(), Row(y));
    }
  }
  uint8_t* Row(int y) { return &cells_[static_cast<size_t>(y + kBorder) * stride_ + kBorder]; }
  int stride() const { return stride_; }

 private:
  int stride_;
  std::vector<uint8_t> cells_;
};

uint32_t Mix(uint32_t hash, uint32_t value) { return (hash ^ value) * 0x9E3779B1u; }

// Asks of each pixel "is it the label of this neighbour?", neighbour after neighbour, each question
// in several contexts whose opinions are mixed. Where all neighbours agree, one context suffices.
template <typename Coder, bool has_prediction>
class LabelCoder {
 public:
  LabelCoder(Coder& coder, int width, int height, const LabelMap* prediction)
      : coder_(coder),
        width_(width),
        height_(height),
        now_(width, height),
        held_(has_prediction ? Bordered(*prediction) : Bordered(0, 0)) {}

  void Encode(const LabelMap& labels) {
    for (int y = 0; y < height_; ++y) {
      for (int x = 0; x < width_; ++x) now_.Row(y)[x] = Pixel(x, y, labels(x, y));
    }
  }
  LabelMap Decode() {
    LabelMap labels(width_, height_);
    for (int y = 0; y < height_; ++y) {
      uint8_t* row = now_.Row(y);
      for (int x = 0; x < width_; ++x) labels(x, y) = row[x] = Pixel(x, y, 0);
    }
    return labels;
  }

 private:
  uint8_t Pixel(int x, int y, uint8_t label) {
    const uint8_t* here = now_.Row(y) + x;
    const int stride = now_.stride();
    const uint8_t west = here[-1], north = here[-stride], north_west = here[-stride - 1],
                  north_east = here[-stride + 1], far_west = here[-2],
                  far_north = here[-2 * stride], far_east = here[-stride + 2];
    uint8_t p = west, p_east = west, p_south = west, p_west = west, p_north = west, p_sw = west,
            p_se = west;
    if constexpr (has_prediction) {
      const uint8_t* there = held_.Row(y) + x;
      p = there[0];
      p_east = there[1];
      p_south = there[stride];
      p_west = there[-1];
      p_north = there[-stride];
      p_sw = there[stride - 1];
      p_se = there[stride + 1];
    }
    const uint32_t disagree = (north ^ west) | (north_west ^ west) | (north_east ^ west) |
                              (p ^ west) | (p_east ^ west) | (p_south ^ west);
    if (disagree == 0) {
      BitModel& model = calm_[west];
      const bool same = coder_.Code(label == west, model.Probability());
      model.Update(same, BitModel::kMaxLimit);
      if (same) return west;
      return Escape(label, west, west, west, west);
    }
    // How well the prediction has been doing around here.
    uint32_t hits = 0;
    if constexpr (has_prediction) {
      const uint8_t* there = held_.Row(y) + x;
      hits = (west == p_west) | (north == p_north) << 1 | (north_west == there[-stride - 1]) << 2 |
             (north_east == there[-stride + 1]) << 3;
    }
    const uint8_t candidates[] = {p, west, north, north_east, north_west};
    uint32_t rank = 0;
    for (int i = has_prediction ? 0 : 1; i < 5; ++i) {
      const uint8_t c = candidates[i];
      bool asked = false;
      for (int j = has_prediction ? 0 : 1; j < i; ++j) asked = asked || candidates[j] == c;
      if (asked) continue;
      const uint32_t near = (west == c) | (north == c) << 1 | (north_west == c) << 2 |
                            (north_east == c) << 3 | (far_west == c) << 4 | (far_north == c) << 5 |
                            (far_east == c) << 6;
      const uint32_t then = (p == c) | (p_east == c) << 1 | (p_south == c) << 2 |
                            (p_west == c) << 3 | (p_north == c) << 4 | (p_sw == c) << 5 |
                            (p_se == c) << 6;
      const uint32_t tag = std::min(rank, 3u);
      const std::array<uint32_t, kInputs> contexts = {
          Mix(Mix(1, near | then << 7), tag | hits << 2),
          Mix(Mix(Mix(2, c | west << 8 | north << 16 | p << 24), north_east), tag),
          Mix(Mix(Mix(3, near), tag | c << 8), 0),
          Mix(Mix(Mix(4, then | hits << 7), tag | (near & 3) << 3), 0),
          Mix(Mix(Mix(5, c | p << 8 | p_east << 16 | p_south << 24), west), tag),
      };
      std::array<BitModel*, kInputs> models;
      for (int k = 0; k < kInputs; ++k) {
        models[k] = &models_[k][contexts[k] >> (32 - kHashBits)];
      }
      if (Mixer<kInputs>::Code(coder_, label == c, models, weights_[tag], kRate, kLimit)) return c;
      ++rank;
    }
    return Escape(label, p, west, north, north_east);
  }

  // Any other label, bit by bit from the top.
  uint8_t Escape(uint8_t label, uint8_t, uint8_t, uint8_t, uint8_t) {
    uint32_t node = 1;
    for (int i = 7; i >= 0; --i) {
      BitModel& model = escape_[node];
      const bool bit = coder_.Code((label >> i & 1) != 0, model.Probability());
      model.Update(bit, 30);
      node = node << 1 | static_cast<uint32_t>(bit);
    }
    return static_cast<uint8_t>(node);
  }

  Coder& coder_;
  const int width_;
  const int height_;
  Bordered now_;
  Bordered held_;
  std::array<BitModel, 256> calm_;
  std::array<BitModel, 256> escape_;
  std::array<Mixer<kInputs>::Weights, 4> weights_;
  std::array<std::vector<BitModel>, kInputs> models_ = [] {
    std::array<std::vector<BitModel>, kInputs> models;
    models.fill(std::vector<BitModel>(size_t{1} << kHashBits));
    return models;
  }();
};

uint32_t Checksum(const LabelMap& labels) {
  return static_cast<uint32_t>(Hash64({labels.data(), labels.size()}));
}

}  // namespace

Result<Bytes> EncodeLabels(const LabelMap& labels, const LabelMap* prediction) {
  STAC_CHECK(!labels.empty() && labels.width() <= 16384 && labels.height() <= 16384);
  STAC_CHECK(prediction == nullptr || prediction->SameSize(labels));
  ArithmeticEncoder encoder;
  if (prediction == nullptr) {
    LabelCoder<ArithmeticEncoder, false>(encoder, labels.width(), labels.height(), nullptr)
        .Encode(labels);
  } else {
    LabelCoder<ArithmeticEncoder, true>(encoder, labels.width(), labels.height(), prediction)
        .Encode(labels);
  }
  ByteWriter writer;
  writer.U8(prediction == nullptr ? kPlain : kPredicted);
  writer.U16(static_cast<uint16_t>(labels.width()));
  writer.U16(static_cast<uint16_t>(labels.height()));
  writer.U32(Checksum(labels));
  writer.Append(encoder.Finish());
  return writer.Release();
}

Result<LabelMap> DecodeLabels(ByteSpan bytes, int width, int height, const LabelMap* prediction) {
  STAC_CHECK(width > 0 && height > 0);
  ByteReader reader(bytes);
  const auto method = reader.U8();
  const auto coded_width = reader.U16();
  const auto coded_height = reader.U16();
  const auto checksum = reader.U32();
  if (!checksum) return Fail("a label map of {} bytes is too short", bytes.size());
  if (*coded_width != width || *coded_height != height) {
    return Fail("a label map is {}x{} where {}x{} is expected", *coded_width, *coded_height, width,
                height);
  }
  ArithmeticDecoder decoder(reader.Rest());
  LabelMap labels;
  if (*method == kPlain) {
    labels = LabelCoder<ArithmeticDecoder, false>(decoder, width, height, nullptr).Decode();
  } else if (*method == kPredicted) {
    if (prediction == nullptr || !prediction->SameSize(width, height)) {
      return Fail("a label map was coded against a prediction that is not at hand");
    }
    labels = LabelCoder<ArithmeticDecoder, true>(decoder, width, height, prediction).Decode();
  } else {
    return Fail("a label map is coded by the unknown method {}: the versions differ", *method);
  }
  if (Checksum(labels) != *checksum) {
    return Fail("a label map is damaged, or was coded against another prediction");
  }
  return labels;
}

}  // namespace stac
