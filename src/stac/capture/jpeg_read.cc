#include <turbojpeg.h>

#include <memory>

#include "stac/capture/image_codecs_internal.h"

namespace stac {

bool LooksLikeJpeg(ByteSpan bytes) {
  return bytes.size() >= 3 && bytes[0] == 0xFF && bytes[1] == 0xD8 && bytes[2] == 0xFF;
}

Result<RgbImage> DecodeJpegImage(ByteSpan bytes) {
  const std::unique_ptr<void, int (*)(tjhandle)> jpeg(tjInitDecompress(), tjDestroy);
  if (!jpeg) return Fail("the JPEG library did not start: {}", tjGetErrorStr2(nullptr));
  int width = 0, height = 0, subsampling = 0, colorspace = 0;
  if (tjDecompressHeader3(jpeg.get(), bytes.data(), bytes.size(), &width, &height, &subsampling,
                          &colorspace) != 0) {
    return Fail("it is not a valid JPEG picture ({})", tjGetErrorStr2(jpeg.get()));
  }
  if (width < 1 || height < 1 || width > kMaxImageSide || height > kMaxImageSide) {
    return Fail("its size of {}x{} is not within 1 to {}", width, height, kMaxImageSide);
  }
  if (colorspace == TJCS_CMYK || colorspace == TJCS_YCCK) {
    return Fail("it is a CMYK picture; convert it to RGB");
  }
  RgbImage image(width, height);
  static_assert(sizeof(Rgb) == 3);
  // A progressive file may hold any number of scans, each as costly as the first: limited.
  // Warnings mean damaged data, which must not pass for a picture.
  if (tjDecompress2(jpeg.get(), bytes.data(), bytes.size(), &image.data()->r, width, 3 * width,
                    height, TJPF_RGB, TJFLAG_ACCURATEDCT | TJFLAG_LIMITSCANS) != 0) {
    return Fail("it is damaged ({})", tjGetErrorStr2(jpeg.get()));
  }
  return image;
}

}  // namespace stac
