#include <png.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "stac/base/check.h"
#include "stac/capture/image_codecs_internal.h"

namespace stac {
namespace {

static_assert(sizeof(Rgb) == 3, "rows are handed to libpng as bytes");

// libpng reports errors by longjmp. Every function below that calls setjmp holds only trivial
// locals, so that no destructor is jumped over; what owns memory lives in the caller.
struct ErrorText {
  char text[120] = "";
};

void OnError(png_structp png, png_const_charp message) {
  auto* error = static_cast<ErrorText*>(png_get_error_ptr(png));
  std::strncpy(error->text, message, sizeof(error->text) - 1);
  png_longjmp(png, 1);
}
void OnWarning(png_structp, png_const_charp) {}

struct Reader {
  explicit Reader(ByteSpan input) : left(input) {
    png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &error, OnError, OnWarning);
    STAC_CHECK(png != nullptr);
    info = png_create_info_struct(png);
    STAC_CHECK(info != nullptr);
    png_set_read_fn(png, this, [](png_structp self, png_bytep out, size_t size) {
      auto* reader = static_cast<Reader*>(png_get_io_ptr(self));
      if (size > reader->left.size()) png_error(self, "the file ends too early");
      std::memcpy(out, reader->left.data(), size);
      reader->left = reader->left.subspan(size);
    });
  }
  ~Reader() { png_destroy_read_struct(&png, &info, nullptr); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  bool ReadHeader() {
    if (setjmp(png_jmpbuf(png)) != 0) return false;
    png_set_user_limits(png, kMaxImageSide, kMaxImageSide);
    png_read_info(png, info);
    return true;
  }

  // Asks for 8-bit RGB whatever is stored.
  bool ConvertToRgb() {
    if (setjmp(png_jmpbuf(png)) != 0) return false;
    png_set_expand(png);
    png_set_scale_16(png);
    png_set_gray_to_rgb(png);
    png_set_strip_alpha(png);
    png_set_interlace_handling(png);
    png_read_update_info(png, info);
    return true;
  }

  // Asks for one byte per stored value, unscaled.
  bool ConvertToIndices() {
    if (setjmp(png_jmpbuf(png)) != 0) return false;
    png_set_packing(png);
    png_set_interlace_handling(png);
    png_read_update_info(png, info);
    return true;
  }

  bool ReadRows(png_bytepp rows) {
    if (setjmp(png_jmpbuf(png)) != 0) return false;
    png_read_image(png, rows);
    return true;
  }

  int width() const { return static_cast<int>(png_get_image_width(png, info)); }
  int height() const { return static_cast<int>(png_get_image_height(png, info)); }
  Error Damaged() const { return {fmt::format("it is not a valid PNG picture ({})", error.text)}; }

  ByteSpan left;
  ErrorText error;
  png_structp png = nullptr;
  png_infop info = nullptr;
};

// Deflate packs at most 1032:1, so a short file that claims a large picture is refused before
// anything is allocated for it.
bool CanHold(const Reader& reader, size_t file_bytes) {
  const size_t bits = static_cast<size_t>(png_get_bit_depth(reader.png, reader.info)) *
                      png_get_channels(reader.png, reader.info);
  const size_t raw = static_cast<size_t>(reader.width()) * reader.height() * bits / 8;
  return raw <= file_bytes * 1032;
}

template <typename T>
Result<Grid<T>> ReadPixels(Reader& reader) {
  Grid<T> image(reader.width(), reader.height());
  if (png_get_rowbytes(reader.png, reader.info) != sizeof(T) * static_cast<size_t>(image.width())) {
    return Fail("its pixel format is not supported");
  }
  std::vector<png_bytep> rows(static_cast<size_t>(image.height()));
  for (int y = 0; y < image.height(); ++y) {
    rows[static_cast<size_t>(y)] = reinterpret_cast<png_bytep>(image.Row(y).data());
  }
  if (!reader.ReadRows(rows.data())) return tl::unexpected(reader.Damaged());
  return image;
}

struct Writer {
  Writer() {
    png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &error, OnError, OnWarning);
    STAC_CHECK(png != nullptr);
    info = png_create_info_struct(png);
    STAC_CHECK(info != nullptr);
    png_set_write_fn(
        png, this,
        [](png_structp self, png_bytep data, size_t size) {
          Bytes& written = static_cast<Writer*>(png_get_io_ptr(self))->out;
          written.insert(written.end(), data, data + size);
        },
        [](png_structp) {});
  }
  ~Writer() { png_destroy_write_struct(&png, &info); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  // Both must outlive the writing.
  void Say(const std::string& keyword, const std::string& text) {
    png_text& said = texts.emplace_back();
    said.compression = PNG_TEXT_COMPRESSION_NONE;
    said.key = const_cast<char*>(keyword.c_str());  // libpng only reads them
    said.text = const_cast<char*>(text.c_str());
    said.text_length = text.size();
  }
  bool Write(int width, int height, int color_type, const uint8_t* pixels, size_t row_bytes) {
    if (setjmp(png_jmpbuf(png)) != 0) return false;
    png_set_IHDR(png, info, static_cast<png_uint_32>(width), static_cast<png_uint_32>(height), 8,
                 color_type, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    if (color_type == PNG_COLOR_TYPE_GRAY) {
      // Labels are written for every frame. Rows mostly repeat the row above, so that the
      // difference is nearly all zeros, which run lengths pack about as well as a search would.
      png_set_filter(png, PNG_FILTER_TYPE_BASE, PNG_FILTER_UP);
      png_set_compression_strategy(png, 3);  // Z_RLE
    }
    if (!texts.empty()) png_set_text(png, info, texts.data(), static_cast<int>(texts.size()));
    png_write_info(png, info);
    for (int y = 0; y < height; ++y)
      png_write_row(png, pixels + static_cast<size_t>(y) * row_bytes);
    png_write_end(png, nullptr);
    return true;
  }

  Bytes out;
  std::vector<png_text> texts;
  ErrorText error;
  png_structp png = nullptr;
  png_infop info = nullptr;
};

template <typename T>
Result<Bytes> Encode(const Grid<T>& image, int color_type, const PngTexts& texts = {}) {
  STAC_CHECK(!image.empty());
  Writer writer;
  for (const auto& [keyword, text] : texts) writer.Say(keyword, text);
  if (!writer.Write(image.width(), image.height(), color_type,
                    reinterpret_cast<const uint8_t*>(image.data()), sizeof(T) * image.width())) {
    return Fail("cannot write a PNG picture of {}x{}: {}", image.width(), image.height(),
                writer.error.text);
  }
  return std::move(writer.out);
}

}  // namespace

bool LooksLikePng(ByteSpan bytes) {
  return bytes.size() >= 8 && png_sig_cmp(bytes.data(), 0, 8) == 0;
}

Result<RgbImage> DecodePng(ByteSpan bytes) {
  Reader reader(bytes);
  if (!reader.ReadHeader()) return tl::unexpected(reader.Damaged());
  if (!CanHold(reader, bytes.size())) return Fail("it is cut off");
  if (!reader.ConvertToRgb()) return tl::unexpected(reader.Damaged());
  return ReadPixels<Rgb>(reader);
}

Result<LabelMap> DecodeLabelPng(ByteSpan bytes) {
  Reader reader(bytes);
  if (!reader.ReadHeader()) return tl::unexpected(reader.Damaged());
  const int type = png_get_color_type(reader.png, reader.info);
  if ((type != PNG_COLOR_TYPE_GRAY && type != PNG_COLOR_TYPE_PALETTE) ||
      png_get_bit_depth(reader.png, reader.info) > 8) {
    return Fail("labels must be an 8-bit PNG with one channel or a palette");
  }
  if (!CanHold(reader, bytes.size())) return Fail("it is cut off");
  if (!reader.ConvertToIndices()) return tl::unexpected(reader.Damaged());
  return ReadPixels<uint8_t>(reader);
}

Result<Bytes> EncodePng(const RgbImage& image) { return Encode(image, PNG_COLOR_TYPE_RGB); }
Result<Bytes> EncodePng(const LabelMap& labels, const PngTexts& texts) {
  return Encode(labels, PNG_COLOR_TYPE_GRAY, texts);
}

}  // namespace stac
