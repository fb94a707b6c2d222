#include <cstdlib>

#include "stac/transport/fragments.h"

// The input is a stream of packets: a length byte, then so many bytes.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr size_t kMaxMessage = 5000;
  stac::Reassembler reassembler(kMaxMessage);
  for (stac::ByteReader reader({data, size}); const auto length = reader.U8();) {
    const auto packet = reader.Take(std::min<size_t>(*length, reader.left()));
    const auto message = reassembler.Add(*packet);
    if (!message) break;
    if (*message && ((*message)->empty() || (*message)->size() > kMaxMessage)) std::abort();
  }
  return 0;
}
