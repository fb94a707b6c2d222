#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Allocator.h>
#include <c10/core/Stream.h>

#include <cstddef>
#include <cstdint>
#include <map>

// The memory and streams of the device that is none.

namespace stac::fake_cuda {

// Of addresses at which nothing is mapped.
c10::Allocator* DeviceMemory();

// The same bytes, where the host finds them.
void* OnHost(const c10::Storage& storage);

// ---- Who made what, and who has waited for whom ----

// Of each stream: the last piece of its work that is known to be done.
using Progress = std::map<c10::StreamId, int64_t>;

c10::StreamId CurrentStream();                              // of this thread
c10::StreamId ExchangeCurrentStream(c10::StreamId stream);  // returns the one before
c10::StreamId NewStream();

// Throws unless what made the storage's bytes is done before what the current stream does next.
void CheckIsMade(const c10::Storage& storage);
// The current stream makes them now.
void NoteMade(const c10::Storage& storage);

Progress RecordEvent(c10::StreamId stream);
void WaitForEvent(c10::StreamId stream, const Progress& event);
void WaitOnHost(c10::StreamId stream);
void WaitOnHostForAll();

// ---- Counting ----

void CountOperation();
void CountUpload(size_t bytes);
// Which the host waits for.
void CountDownload(size_t bytes);

}  // namespace stac::fake_cuda
