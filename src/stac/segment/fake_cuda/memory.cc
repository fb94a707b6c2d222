#include <c10/util/Exception.h>
#include <torch/version.h>

#include <cstdlib>
#include <memory>
#include <mutex>
#include <utility>

#include "stac/segment/fake_cuda/fake_cuda_internal.h"
#include "stac/segment/fake_cuda/memory_internal.h"

namespace stac::fake_cuda {
namespace {

// Far beyond what processes are given, and below the bits that some processors ignore.
constexpr uintptr_t kFar = uintptr_t{1} << 54;

struct Block {
  void* bytes = nullptr;
  c10::StreamId maker = 0;
  int64_t made = 0;  // 0: nothing is there yet
};

void DeleteBlock(void* context) {
  auto* block = static_cast<Block*>(context);
  std::free(block->bytes);
  delete block;
}

class Memory final : public c10::Allocator {
 public:
#if TORCH_VERSION_MAJOR >= 2
  c10::DataPtr allocate(size_t size) override { return Allocate(size); }
  void copy_data(void*, const void*, size_t) const override {
    TORCH_CHECK(false, "copying memory without operations is not known here");
  }
#else
  c10::DataPtr allocate(size_t size) const override { return Allocate(size); }
#endif

 private:
  static c10::DataPtr Allocate(size_t size) {
    auto block = std::make_unique<Block>();
    const c10::Device device(c10::DeviceType::CUDA, 0);
    if (size == 0) return {nullptr, device};
    constexpr size_t kLine = 64;
    block->bytes = std::aligned_alloc(kLine, (size + kLine - 1) / kLine * kLine);
    TORCH_CHECK(block->bytes != nullptr, "out of memory");
    void* far = reinterpret_cast<void*>(reinterpret_cast<uintptr_t>(block->bytes) + kFar);
    return {far, block.release(), DeleteBlock, device};
  }
};

struct State {
  std::mutex mutex;
  FakeCudaWork work;
  int64_t now = 0;
  c10::StreamId streams = 1;  // the default one is there
  Progress known_on_host;
  std::map<c10::StreamId, Progress> known_on_stream;
};
State& Shared() {
  static auto* state = new State;  // threads of LibTorch outlive main()
  return *state;
}

thread_local c10::StreamId current_stream = 0;

Block* BlockOf(const c10::Storage& storage) {
  return static_cast<Block*>(storage.data_ptr().get_context());
}

bool Includes(const Progress& progress, const Block& block) {
  const auto found = progress.find(block.maker);
  return found != progress.end() && found->second >= block.made;
}

void Merge(const Progress& from, Progress& into) {
  for (const auto& [stream, stamp] : from) into[stream] = std::max(into[stream], stamp);
}

}  // namespace

c10::Allocator* DeviceMemory() {
  static auto* memory = new Memory;
  return memory;
}

void* OnHost(const c10::Storage& storage) {
  const Block* block = BlockOf(storage);
  return block == nullptr ? nullptr : block->bytes;
}

c10::StreamId CurrentStream() { return current_stream; }
c10::StreamId ExchangeCurrentStream(c10::StreamId stream) {
  return std::exchange(current_stream, stream);
}
c10::StreamId NewStream() {
  State& state = Shared();
  const std::lock_guard lock(state.mutex);
  return state.streams++;
}

void CheckIsMade(const c10::Storage& storage) {
  const Block* block = BlockOf(storage);
  if (block == nullptr) return;
  State& state = Shared();
  const std::lock_guard lock(state.mutex);
  const bool done = block->made == 0 || block->maker == current_stream ||
                    Includes(state.known_on_host, *block) ||
                    Includes(state.known_on_stream[current_stream], *block);
  TORCH_CHECK(done, "stream ", current_stream, " uses what stream ", block->maker,
              " may not have made yet");
}

void NoteMade(const c10::Storage& storage) {
  Block* block = BlockOf(storage);
  if (block == nullptr) return;
  State& state = Shared();
  const std::lock_guard lock(state.mutex);
  block->maker = current_stream;
  block->made = ++state.now;
}

Progress RecordEvent(c10::StreamId stream) {
  State& state = Shared();
  const std::lock_guard lock(state.mutex);
  Progress event = state.known_on_stream[stream];
  event[stream] = state.now;
  return event;
}

void WaitForEvent(c10::StreamId stream, const Progress& event) {
  State& state = Shared();
  const std::lock_guard lock(state.mutex);
  Merge(event, state.known_on_stream[stream]);
}

void WaitOnHost(c10::StreamId stream) {
  State& state = Shared();
  const std::lock_guard lock(state.mutex);
  Merge(state.known_on_stream[stream], state.known_on_host);
  state.known_on_host[stream] = state.now;
}

void WaitOnHostForAll() {
  State& state = Shared();
  const std::lock_guard lock(state.mutex);
  for (c10::StreamId stream = 0; stream < state.streams; ++stream)
    state.known_on_host[stream] = state.now;
}

void CountOperation() {
  State& state = Shared();
  const std::lock_guard lock(state.mutex);
  ++state.work.operations;
}

void CountUpload(size_t bytes) {
  State& state = Shared();
  const std::lock_guard lock(state.mutex);
  ++state.work.uploads;
  state.work.uploaded_bytes += static_cast<int64_t>(bytes);
}

void CountDownload(size_t bytes) {
  WaitOnHost(current_stream);
  State& state = Shared();
  const std::lock_guard lock(state.mutex);
  ++state.work.downloads;
  state.work.downloaded_bytes += static_cast<int64_t>(bytes);
}

}  // namespace stac::fake_cuda

namespace stac {

FakeCudaWork TakeFakeCudaWork() {
  auto& state = fake_cuda::Shared();
  const std::lock_guard lock(state.mutex);
  return std::exchange(state.work, {});
}

}  // namespace stac
