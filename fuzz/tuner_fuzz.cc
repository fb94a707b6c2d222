#include <cstdlib>

#include "stac/adapt/tuner.h"
#include "stac/base/bytes.h"

// A network that is read can be evaluated.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto network = stac::TunerNetwork::FromJson(stac::AsText({data, size}));
  if (network && network->Evaluate({}).size() != network->outputs()) std::abort();
  return 0;
}
