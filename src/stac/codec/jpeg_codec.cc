#include "stac/codec/jpeg_codec.h"

#include <csetjmp>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>

// Needs size_t and FILE.
#include <jpeglib.h>

#include <algorithm>
#include <vector>

#include "stac/base/check.h"

namespace stac {
namespace {

constexpr int kMcu = 16;  // luma rows and columns of a 4:2:0 minimum coded unit

// libjpeg reports errors through a function that must not return; the default one ends the
// program. Between setjmp and longjmp no object with a destructor may come to life.
struct ErrorTrap {
  jpeg_error_mgr manager;
  std::jmp_buf back;
  char text[JMSG_LENGTH_MAX] = "";

  jpeg_error_mgr* Install() {
    jpeg_std_error(&manager);
    manager.error_exit = [](j_common_ptr info) {
      auto* trap = reinterpret_cast<ErrorTrap*>(info->err);
      (*info->err->format_message)(info, trap->text);
      std::longjmp(trap->back, 1);
    };
    manager.emit_message = [](j_common_ptr info, int level) {
      if (level >= 0) return;  // -1: a warning, that is damage it can paper over
      auto* trap = reinterpret_cast<ErrorTrap*>(info->err);
      if (info->err->num_warnings++ == 0) (*info->err->format_message)(info, trap->text);
    };
    return &manager;
  }
};
static_assert(offsetof(ErrorTrap, manager) == 0);

// One row of minimum coded units, as libjpeg wants it: whole units, whatever the picture's size.
class McuRow {
 public:
  explicit McuRow(int width) {
    const int padded = (width + kMcu - 1) / kMcu * kMcu;
    for (int i = 0; i < 3; ++i) {
      const int shift = i == 0 ? 0 : 1;
      stride_[i] = padded >> shift;
      samples_[i].resize(static_cast<size_t>(stride_[i]) * (kMcu >> shift));
      for (int y = 0; y < kMcu >> shift; ++y) {
        rows_[i][y] = samples_[i].data() + static_cast<size_t>(y) * stride_[i];
      }
      planes_[i] = rows_[i];
    }
  }

  // Rows from luma row `top` on; the picture's last column and row are repeated.
  void Fill(const Frame& frame, int top) {
    for (int i = 0; i < 3; ++i) {
      const PlaneView& plane = frame.plane(i);
      const int shift = i == 0 ? 0 : 1;
      for (int y = 0; y < kMcu >> shift; ++y) {
        const uint8_t* row = plane.Row(std::min((top >> shift) + y, plane.height - 1));
        std::memcpy(rows_[i][y], row, plane.width);
        std::memset(rows_[i][y] + plane.width, row[plane.width - 1], stride_[i] - plane.width);
      }
    }
  }
  void Drain(Frame& frame, int top) const {
    for (int i = 0; i < 3; ++i) {
      const PlaneView& plane = frame.plane(i);
      const int shift = i == 0 ? 0 : 1;
      const int first = top >> shift;
      for (int y = 0; y < kMcu >> shift && first + y < plane.height; ++y) {
        std::memcpy(frame.MutablePlane(i) + static_cast<ptrdiff_t>(first + y) * plane.stride,
                    rows_[i][y], plane.width);
      }
    }
  }
  JSAMPIMAGE planes() { return planes_; }

 private:
  std::vector<uint8_t> samples_[3];
  int stride_[3];
  JSAMPROW rows_[3][kMcu];
  JSAMPARRAY planes_[3];
};

void SetTable(jpeg_compress_struct& info, int slot, const std::array<uint8_t, 64>& table) {
  unsigned entries[64];
  std::copy(table.begin(), table.end(), entries);
  jpeg_add_quant_table(&info, slot, entries, 100, TRUE);
  info.comp_info[slot].quant_tbl_no = slot;
}

// The part that may jump back. False: trap.text says why.
bool Compress(const Frame& frame, const JpegTables& tables, McuRow& row, ErrorTrap& trap,
              jpeg_compress_struct& info, unsigned char*& out, unsigned long& size) {
  if (setjmp(trap.back) != 0) return false;
  jpeg_create_compress(&info);
  jpeg_mem_dest(&info, &out, &size);
  info.image_width = static_cast<JDIMENSION>(frame.width());
  info.image_height = static_cast<JDIMENSION>(frame.height());
  info.input_components = 3;
  info.in_color_space = JCS_YCbCr;
  jpeg_set_defaults(&info);  // 4:2:0
  SetTable(info, 0, tables.luma);
  SetTable(info, 1, tables.cb);
  SetTable(info, 2, tables.cr);
  info.raw_data_in = TRUE;
  info.optimize_coding = TRUE;
  info.dct_method = JDCT_ISLOW;
  jpeg_start_compress(&info, TRUE);
  for (int y = 0; y < frame.height(); y += kMcu) {
    row.Fill(frame, y);
    jpeg_write_raw_data(&info, row.planes(), kMcu);
  }
  jpeg_finish_compress(&info);
  return true;
}

bool ReadHeader(ByteSpan bytes, ErrorTrap& trap, jpeg_decompress_struct& info) {
  if (setjmp(trap.back) != 0) return false;
  jpeg_create_decompress(&info);
  jpeg_mem_src(&info, bytes.data(), bytes.size());
  jpeg_read_header(&info, TRUE);
  return true;
}

bool Decompress(ErrorTrap& trap, jpeg_decompress_struct& info, McuRow& row, Frame& frame) {
  if (setjmp(trap.back) != 0) return false;
  info.raw_data_out = TRUE;
  info.do_fancy_upsampling = FALSE;
  info.dct_method = JDCT_ISLOW;
  jpeg_start_decompress(&info);
  for (int y = 0; y < frame.height(); y += kMcu) {
    jpeg_read_raw_data(&info, row.planes(), kMcu);
    if (info.err->num_warnings != 0) return false;
    row.Drain(frame, y);
  }
  jpeg_finish_decompress(&info);
  return info.err->num_warnings == 0;
}

Status CheckHeader(jpeg_decompress_struct& info, int max_width, int max_height) {
  if (info.image_width > static_cast<JDIMENSION>(max_width) ||
      info.image_height > static_cast<JDIMENSION>(max_height)) {
    return Fail("a JPEG of {}x{} is larger than the {}x{} accepted here", info.image_width,
                info.image_height, max_width, max_height);
  }
  if (info.image_width % 2 != 0 || info.image_height % 2 != 0 || info.image_width < 16 ||
      info.image_height < 16) {
    return Fail("a JPEG of {}x{} is not supported: sizes must be even, 16 or more",
                info.image_width, info.image_height);
  }
  if (info.progressive_mode || info.arith_code || jpeg_has_multiple_scans(&info)) {
    return Fail("a JPEG is not baseline with one scan: only such ones are accepted here");
  }
  const jpeg_component_info* c = info.comp_info;
  if (info.num_components != 3 || info.jpeg_color_space != JCS_YCbCr || c[0].h_samp_factor != 2 ||
      c[0].v_samp_factor != 2 || c[1].h_samp_factor != 1 || c[1].v_samp_factor != 1 ||
      c[2].h_samp_factor != 1 || c[2].v_samp_factor != 1) {
    return Fail("a JPEG is not YCbCr 4:2:0: only such ones are accepted here");
  }
  return OkStatus();
}

}  // namespace

JpegTables StandardTables(int quality) {
  STAC_CHECK(quality >= 1 && quality <= 100);
  jpeg_compress_struct info;
  jpeg_error_mgr errors;
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  info.input_components = 3;
  info.in_color_space = JCS_YCbCr;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, quality, TRUE);
  JpegTables tables;
  for (int i = 0; i < 64; ++i) {
    tables.luma[i] = static_cast<uint8_t>(info.quant_tbl_ptrs[0]->quantval[i]);
    tables.cb[i] = static_cast<uint8_t>(info.quant_tbl_ptrs[1]->quantval[i]);
  }
  tables.cr = tables.cb;
  jpeg_destroy_compress(&info);
  return tables;
}

Result<Bytes> EncodeJpeg(const Frame& frame, const JpegTables& tables) {
  for (const auto* table : {&tables.luma, &tables.cb, &tables.cr}) {
    STAC_CHECK(std::count(table->begin(), table->end(), 0) == 0);
  }
  McuRow row(frame.width());
  ErrorTrap trap;
  jpeg_compress_struct info{};
  info.err = trap.Install();
  unsigned char* out = nullptr;
  unsigned long size = 0;
  const bool done = Compress(frame, tables, row, trap, info, out, size);
  jpeg_destroy_compress(&info);
  Bytes bytes(out, out + (done ? size : 0));
  std::free(out);
  if (!done) return Fail("cannot encode frame {} as JPEG: {}", frame.id, trap.text);
  return bytes;
}

Result<Frame> DecodeJpeg(ByteSpan bytes, ColorSpec color, int max_width, int max_height) {
  if (bytes.empty()) return Fail("an empty message is not a JPEG");
  ErrorTrap trap;
  jpeg_decompress_struct info{};
  info.err = trap.Install();
  struct Destroy {
    jpeg_decompress_struct& info;
    ~Destroy() { jpeg_destroy_decompress(&info); }
  } destroy{info};
  if (!ReadHeader(bytes, trap, info)) return Fail("not a readable JPEG: {}", trap.text);
  STAC_RETURN_IF_ERROR(CheckHeader(info, max_width, max_height));
  Frame frame(static_cast<int>(info.image_width), static_cast<int>(info.image_height), color);
  McuRow row(frame.width());
  if (!Decompress(trap, info, row, frame)) return Fail("a JPEG is damaged: {}", trap.text);
  return frame;
}

}  // namespace stac
