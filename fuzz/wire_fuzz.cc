#include <cstdlib>

#include "stac/wire/messages.h"

// What Parse() accepts is valid, and survives another round.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto message = stac::Parse({data, size});
  if (!message) return 0;
  const auto again = stac::Parse(stac::Serialize(*message));
  if (!again || again->index() != message->index()) std::abort();
  return 0;
}
