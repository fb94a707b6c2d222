#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>

#include "stac/base/result.h"

namespace stac {

// Where a server keeps the labels that devices send: a folder of its own for each connection, named
// after the device, beside those of earlier ones of that name. Thread-safe.
class LabelFolders {
 public:
  // `root` is there.
  explicit LabelFolders(std::string root) : root_(std::move(root)) {}

  // Made when it is asked for first. `connection`: unique.
  Result<std::string> Of(const std::string& device, int64_t connection);

 private:
  const std::string root_;
  std::mutex mutex_;
  std::map<int64_t, std::string> folders_;
};

}  // namespace stac
