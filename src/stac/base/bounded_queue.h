#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>

#include "stac/base/clock.h"

namespace stac {

// A queue between threads that holds at most `capacity` items. Thread-safe.
template <typename T>
class BoundedQueue {
 public:
  explicit BoundedQueue(size_t capacity) : capacity_(capacity) {}

  // Waits for room. False if the queue was closed.
  bool Push(T item) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return closed_ || items_.size() < capacity_; });
    if (closed_) return false;
    items_.push_back(std::move(item));
    changed_.notify_all();
    return true;
  }
  // Drops the oldest item if there is no room; returns how many were dropped, nullopt if the queue
  // was closed.
  std::optional<int> PushDroppingOldest(T item) {
    std::lock_guard lock(mutex_);
    if (closed_) return std::nullopt;
    int dropped = 0;
    while (items_.size() >= capacity_) {
      items_.pop_front();
      ++dropped;
    }
    items_.push_back(std::move(item));
    changed_.notify_all();
    return dropped;
  }
  // Waits for an item; nullopt once the queue is closed and empty.
  std::optional<T> Pop() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return closed_ || !items_.empty(); });
    return TakeFront();
  }
  // The same, but gives up after the time-out; 0: does not wait.
  std::optional<T> PopFor(Micros timeout) {
    std::unique_lock lock(mutex_);
    if (timeout > 0) {  // or the thread would go to sleep and wake up again
      changed_.wait_for(lock, std::chrono::microseconds(timeout),
                        [&] { return closed_ || !items_.empty(); });
    }
    return TakeFront();
  }
  // No more items are taken in; waiting threads wake up. Items already in can still be popped.
  void Close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }
  // True once closed and empty.
  bool drained() const {
    std::lock_guard lock(mutex_);
    return closed_ && items_.empty();
  }

 private:
  std::optional<T> TakeFront() {
    if (items_.empty()) return std::nullopt;
    std::optional<T> item(std::move(items_.front()));
    items_.pop_front();
    changed_.notify_all();
    return item;
  }

  const size_t capacity_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<T> items_;
  bool closed_ = false;
};

}  // namespace stac
