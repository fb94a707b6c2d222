#include "stac/codec/label_coder.h"

#include <cstring>
#include <optional>

#include "stac/base/check.h"
#include "stac/codec/context_coder_internal.h"
#include "stac/codec/label_grid.h"

namespace stac {
namespace {

constexpr uint8_t kPlain = 3;      // coded from its own neighbourhood
constexpr uint8_t kPredicted = 4;  // and from a map that both sides hold
constexpr int kMethods = 16;       // the first byte: one of these and 16 x (grid - 1)
static_assert(kMaxLabelGrid * kMethods <= 256);

// Below this share of equal pixels the prediction costs more contexts than it saves: measured on
// CamVid with maps 1 to 40 frames old, human labels and a network's, the two cross at 0.88..0.9.
constexpr double kUsefulAgreement = 0.9;

constexpr int kBorder = 6;  // cells around the maps, so that no neighbour needs a test
constexpr int kPlainInputs = 5;
constexpr int kPredictedInputs = 8;
constexpr int kRate = 7;
constexpr int kRunWindow = 250;
constexpr int kWindow = 250;  // decisions that a context remembers
constexpr int kEscapeWindow = 30;
constexpr int kTableBits = 14;
constexpr int kRanks = 4;
// Pixels that one decision may settle; the maps are looked at from kRunBack before to kRunReach
// beyond there. 16 pixels take half as long again.
constexpr int kRun = 8;
constexpr int kRunBack = 2;
constexpr int kRunReach = 16;

// A map with a border of kUnlabelled around it.
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

// A pixel's neighbourhood.
struct Place {
  const uint8_t* here;
  int stride;
  uint8_t At(int dx, int dy) const { return here[dx + dy * stride]; }
  // A word with a bit for each offset, set where the label is `label`.
  template <typename... Offsets>
  uint32_t Equal(uint8_t label, Offsets... offsets) const {
    uint32_t word = 0;
    ((word = word << 1 | uint32_t{At(offsets.dx, offsets.dy) == label}), ...);
    return word;
  }
  template <typename... Offsets>
  bool AnyOther(uint8_t label, Offsets... offsets) const {
    return (((At(offsets.dx, offsets.dy) ^ label) | ...)) != 0;
  }
};
struct By {
  int dx, dy;
};

template <typename... Words>
uint32_t Hash(Words... words) {
  uint32_t hash = 0;
  ((hash = (hash ^ words) * 0x9E3779B1u, hash ^= hash >> 15), ...);
  return hash;
}

// True if `kRunReach` labels from `at` on are all the one of which `eight` has eight.
bool AllAre(const uint8_t* at, uint64_t eight) {
  static_assert(kRunReach == 16);
  uint64_t a, b;
  std::memcpy(&a, at, 8);
  std::memcpy(&b, at + 8, 8);
  return ((a ^ eight) | (b ^ eight)) == 0;
}

// Asks of each pixel "is it the label of this neighbour?", neighbour after neighbour, each question
// in several contexts whose opinions are mixed. Where the whole neighbourhood has one label, which
// is nearly everywhere, one context suffices, and where that holds for many pixels in a row, one
// decision settles all of them; that is what makes it fast.
template <typename Coder, bool predicted>
class LabelCoder {
 public:
  LabelCoder(Coder& coder, int width, int height, const LabelMap* prediction)
      : coder_(coder),
        width_(width),
        height_(height),
        now_(width, height),
        held_(predicted ? Bordered(*prediction) : Bordered(0, 0)) {
    tables_.fill(std::vector<BitModel>(size_t{1} << kTableBits));
  }

  void Encode(const LabelMap& labels) {
    for (int y = 0; y < height_; ++y) Row(y, labels.Row(y).data());
  }
  LabelMap Decode() {
    LabelMap labels(width_, height_);
    for (int y = 0; y < height_; ++y) {
      Row(y, nullptr);
      std::copy_n(now_.Row(y), width_, labels.Row(y).data());
    }
    return labels;
  }

 private:
  static constexpr int kInputs = predicted ? kPredictedInputs : kPlainInputs;

  // `labels`: null when decoding.
  void Row(int y, const uint8_t* labels) {
    uint8_t* now = now_.Row(y);
    bool whole = true;  // how the last run went
    for (int x = 0; x < width_;) {
      broken_from_ = -1;
      if (x + kRun <= width_ && Quiet(x, y)) {
        const uint8_t west = now[x - 1];
        const bool apart = predicted && held_.Row(y)[x] != west;
        BitModel& model = run_[(whole ? 1 : 0) + (apart ? 2 : 0)];
        whole = coder_.Code(labels != nullptr && std::all_of(labels + x, labels + x + kRun,
                                                             [&](auto l) { return l == west; }),
                            model.Probability());
        model.Update(whole, kRunWindow);
        if (whole) {
          std::fill_n(now + x, kRun, west);
          x += kRun;
          continue;
        }
        broken_from_ = x;
      }
      for (const int end = std::min(x + kRun, width_); x < end; ++x) {
        now[x] = Pixel(x, y, labels == nullptr ? uint8_t{0} : labels[x]);
      }
    }
  }

  // True if all pixels of the run from (x, y) on would be calm, with nothing else in their wider
  // neighbourhood, were they all like the one before it.
  bool Quiet(int x, int y) {
    const Place now{now_.Row(y) + x, now_.stride()};
    const uint8_t west = now.At(-1, 0);
    const uint64_t eight = west * 0x0101010101010101u;
    if (now.AnyOther(west, By{-2, 0}, By{-3, 0}) ||
        !AllAre(&now.here[-now.stride - kRunBack], eight) ||
        !AllAre(&now.here[-2 * now.stride - kRunBack], eight)) {
      return false;
    }
    if constexpr (predicted) {
      const uint8_t* held = held_.Row(y) + x - kRunBack;
      const uint64_t held_eight = held[kRunBack] * 0x0101010101010101u;
      return AllAre(held, held_eight) && AllAre(held + held_.stride(), held_eight) &&
             AllAre(held + 2 * held_.stride(), held_eight) &&
             (held_eight == eight || AllAre(held - held_.stride(), held_eight));
    }
    return true;
  }

  uint8_t Pixel(int x, int y, uint8_t label) {
    const Place now{now_.Row(y) + x, now_.stride()};
    const Place held{predicted ? held_.Row(y) + x : now.here, now_.stride()};
    const uint8_t west = now.At(-1, 0);
    bool calm = !now.AnyOther(west, By{0, -1}, By{-1, -1}, By{1, -1});
    // The prediction, too, has one label all around: this one, or another that has already been
    // wrong beside and above.
    const uint8_t there = predicted ? held.At(0, 0) : west;
    if constexpr (predicted) {
      calm = calm && !held.AnyOther(there, By{1, 0}, By{0, 1}) &&
             (there == west || !held.AnyOther(there, By{-1, 0}, By{0, -1}, By{-1, -1}, By{1, -1}));
    }
    if (calm) {
      // In a run that is known to be broken, how soon it breaks.
      BitModel& model = broken_from_ >= 0 ? broken_[x - broken_from_]
                                          : calm_[Surroundings(now, held, west, there)];
      const bool same = coder_.Code(label == west, model.Probability());
      model.Update(same, BitModel::kMaxLimit);
      if (!same) broken_from_ = -1;
      if (same) return west;
      if (there != west) {
        const bool right = coder_.Code(label == there, recovered_.Probability());
        recovered_.Update(right, kEscapeWindow);
        if (right) return there;
      }
      return Escape(label);
    }

    // How well the prediction has been doing around here.
    uint32_t hits = 0;
    if constexpr (predicted) {
      for (const By by : {By{-1, 0}, By{0, -1}, By{-1, -1}, By{1, -1}}) {
        hits = hits << 1 | uint32_t{now.At(by.dx, by.dy) == held.At(by.dx, by.dy)};
      }
    }
    const std::array<uint8_t, 5> candidates = {predicted ? held.At(0, 0) : west, west,
                                               now.At(0, -1), now.At(1, -1), now.At(-1, -1)};
    uint32_t rank = 0;
    for (size_t i = 0; i < candidates.size(); ++i) {
      const auto end = candidates.begin() + static_cast<ptrdiff_t>(i);
      if (std::find(candidates.begin(), end, candidates[i]) != end) continue;
      if (IsIt(candidates[i], label, now, held, std::min<uint32_t>(rank, kRanks - 1), hits)) {
        return candidates[i];
      }
      ++rank;
    }
    return Escape(label);
  }

  // Which parts of the wider neighbourhood have other labels: where one may be about to begin.
  static uint32_t Surroundings(Place now, Place held, uint8_t west, uint8_t there) {
    const uint32_t right = now.AnyOther(west, By{2, -1}, By{3, -1});
    const uint32_t above = now.AnyOther(west, By{0, -2}, By{-1, -2}, By{1, -2});
    const uint32_t left = now.AnyOther(west, By{-2, 0}, By{-3, 0}, By{-2, -1});
    const uint32_t far = now.AnyOther(west, By{4, -1}, By{5, -1}, By{6, -1}, By{3, -2});
    if constexpr (predicted) {
      const uint32_t corners = held.AnyOther(there, By{-1, 1}, By{1, 1});
      const uint32_t beyond = held.AnyOther(there, By{2, 0}, By{0, 2}, By{2, 1}, By{1, 2});
      return (right | above | left | far) | corners << 1 | beyond << 2 |
             uint32_t{there != west} << 3;
    }
    return right | above << 1 | left << 2 | far << 3;
  }

  bool IsIt(uint8_t c, uint8_t label, Place now, Place held, uint32_t rank, uint32_t hits) {
    const uint32_t beside = now.Equal(c, By{-1, 0}, By{0, -1}, By{-1, -1}, By{1, -1});
    const uint32_t near = beside << 3 | now.Equal(c, By{-2, 0}, By{0, -2}, By{2, -1});
    const uint32_t wide = now.Equal(c, By{-3, 0}, By{-2, -1}, By{3, -1}, By{-1, -2}, By{1, -2});
    const uint32_t wider =
        now.Equal(c, By{-4, 0}, By{-3, -1}, By{4, -1}, By{-2, -2}, By{2, -2}, By{0, -3}, By{3, -2});
    std::array<uint32_t, kInputs> contexts;
    contexts[0] = Hash(near, rank);
    contexts[1] = Hash(near << 5 | wide, rank);
    contexts[2] = Hash(near << 5 | wide, wider, rank);
    contexts[3] = Hash(beside, rank, c);
    contexts[4] = Hash(c, now.At(-1, 0), now.At(0, -1), now.At(1, -1), rank);
    if constexpr (predicted) {
      const uint32_t then =
          held.Equal(c, By{0, 0}, By{1, 0}, By{0, 1}, By{-1, 0}, By{0, -1}, By{-1, 1}, By{1, 1},
                     By{2, 0}, By{0, 2}, By{1, -1}, By{-1, -1});
      contexts[5] = Hash(beside << 11 | then, rank, hits);
      contexts[6] = Hash(then, rank, hits, beside >> 2);
      contexts[7] = Hash(c, held.At(0, 0), held.At(1, 0), held.At(0, 1), now.At(-1, 0), rank);
    }
    std::array<BitModel*, kInputs> models;
    for (int i = 0; i < kInputs; ++i) models[i] = &tables_[i][contexts[i] >> (32 - kTableBits)];
    return Mixer<kInputs>::Code(coder_, label == c, models, weights_[rank], kRate, kWindow);
  }

  // A label that no neighbour has, bit by bit from the top.
  uint8_t Escape(uint8_t label) {
    uint32_t node = 1;
    for (int i = 7; i >= 0; --i) {
      BitModel& model = escape_[node];
      const bool bit = coder_.Code((label >> i & 1) != 0, model.Probability());
      model.Update(bit, kEscapeWindow);
      node = node << 1 | uint32_t{bit};
    }
    return static_cast<uint8_t>(node);
  }

  Coder& coder_;
  const int width_;
  const int height_;
  Bordered now_;
  Bordered held_;
  std::array<BitModel, 16> calm_;
  std::array<BitModel, 4> run_;  // by whether the last one was whole, and the prediction differs
  BitModel recovered_;           // is a label that ends a run what the prediction says?
  std::array<BitModel, kRun> broken_;
  int broken_from_ = -1;  // where the run began that has not broken yet, but will; -1: none
  std::array<BitModel, 256> escape_;
  std::array<typename Mixer<kInputs>::Weights, kRanks> weights_;
  std::array<std::vector<BitModel>, kInputs> tables_;
};

uint32_t Checksum(const LabelMap& labels) {
  return static_cast<uint32_t>(Hash64({labels.data(), labels.size()}));
}

bool Agrees(const LabelMap& labels, const LabelMap& prediction) {
  size_t equal = 0;
  for (size_t i = 0; i < labels.size(); ++i) equal += labels[i] == prediction[i];
  return static_cast<double>(equal) >= kUsefulAgreement * static_cast<double>(labels.size());
}

}  // namespace

namespace {

Bytes EncodeCells(const LabelMap& cells, const LabelMap* prediction, int grid, int width,
                  int height) {
  const bool predicted = prediction != nullptr && Agrees(cells, *prediction);
  ArithmeticEncoder encoder;
  if (predicted) {
    LabelCoder<ArithmeticEncoder, true>(encoder, cells.width(), cells.height(), prediction)
        .Encode(cells);
  } else {
    LabelCoder<ArithmeticEncoder, false>(encoder, cells.width(), cells.height(), nullptr)
        .Encode(cells);
  }
  ByteWriter writer;
  writer.U8(static_cast<uint8_t>((predicted ? kPredicted : kPlain) + (grid - 1) * kMethods));
  writer.U16(static_cast<uint16_t>(width));
  writer.U16(static_cast<uint16_t>(height));
  writer.U32(Checksum(cells));
  writer.Append(encoder.Finish());
  return writer.Release();
}

}  // namespace

Result<Bytes> EncodeLabels(const LabelMap& labels, const LabelMap* prediction) {
  STAC_CHECK(!labels.empty() && labels.width() <= 16384 && labels.height() <= 16384);
  STAC_CHECK(prediction == nullptr || prediction->SameSize(labels));
  return EncodeCells(labels, prediction, 1, labels.width(), labels.height());
}

Result<CodedLabels> EncodeLabelsAtGrid(const LabelMap& labels, int grid,
                                       const LabelMap* prediction) {
  STAC_CHECK(!labels.empty() && labels.width() <= 16384 && labels.height() <= 16384);
  STAC_CHECK(grid >= 1 && grid <= kMaxLabelGrid);
  STAC_CHECK(prediction == nullptr || prediction->SameSize(labels));
  const LabelMap cells = ReduceLabels(labels, grid);
  std::optional<LabelMap> predicted_cells;
  if (prediction != nullptr) predicted_cells = ReduceLabels(*prediction, grid);
  return CodedLabels{.bytes = EncodeCells(cells, predicted_cells ? &*predicted_cells : nullptr,
                                          grid, labels.width(), labels.height()),
                     .shown = EnlargeLabels(cells, grid, labels.width(), labels.height())};
}

Result<LabelMap> DecodeLabels(ByteSpan bytes, int width, int height, const LabelMap* prediction) {
  STAC_CHECK(width > 0 && height > 0);
  ByteReader reader(bytes);
  const auto first = reader.U8();
  const auto coded_width = reader.U16();
  const auto coded_height = reader.U16();
  const auto checksum = reader.U32();
  if (!checksum) return Fail("a label map of {} bytes is too short", bytes.size());
  if (*coded_width != width || *coded_height != height) {
    return Fail("a label map is {}x{} where {}x{} is expected", *coded_width, *coded_height, width,
                height);
  }
  const int method = *first % kMethods, grid = *first / kMethods + 1;
  if (method != kPlain && method != kPredicted) {
    return Fail("a label map is coded by the unknown method {}: the versions differ", *first);
  }
  const int columns = ReducedSize(width, grid), rows = ReducedSize(height, grid);
  ArithmeticDecoder decoder(reader.Rest());
  LabelMap cells;
  if (method == kPlain) {
    cells = LabelCoder<ArithmeticDecoder, false>(decoder, columns, rows, nullptr).Decode();
  } else {
    if (prediction == nullptr || !prediction->SameSize(width, height)) {
      return Fail("a label map was coded against a prediction that is not at hand");
    }
    const LabelMap predicted = ReduceLabels(*prediction, grid);
    cells = LabelCoder<ArithmeticDecoder, true>(decoder, columns, rows, &predicted).Decode();
  }
  if (Checksum(cells) != *checksum) {
    return Fail("a label map is damaged, or was coded against another prediction");
  }
  return grid == 1 ? std::move(cells) : EnlargeLabels(cells, grid, width, height);
}

}  // namespace stac
