#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "stac/base/result.h"
#include "stac/lab/result_row.h"

namespace stac {

// What decides the outcome of a point.
struct PointIdentity {
  std::string spec;  // canonical text of the system
  std::string network_hash;
  std::string clip_hash;  // of all frames and human labels, so size, length and step are in it
  std::string profile_hash;
  uint64_t seed = 0;
  std::string options;  // anything else that makes it another point: names, thread counts
};
// 16 hexadecimal digits.
std::string PointKey(const PointIdentity& identity);

// The measured points of an experiment in one SQLite file (write-ahead log), each written in a
// transaction of its own: a killed run loses at most the points that were being measured, and a
// second run finds the others by their keys. Several processes may have it open; one object
// belongs to one process and thread (open it after fork).
class ResultStore {
 public:
  // Creates the file where there is none. Fails on files that are something else.
  static Result<std::unique_ptr<ResultStore>> Open(const std::filesystem::path& path);
  virtual ~ResultStore() = default;

  // Adds a point with its seconds; one with the same key stays as it is (the first result counts).
  virtual Status Add(const ResultRow& row) = 0;
  virtual Result<bool> Has(const std::string& key) = 0;
  virtual Result<std::vector<ResultRow>> All() = 0;
  // Forgets the points with these keys.
  virtual Status Remove(const std::vector<std::string>& keys) = 0;
};

struct MergedPoints {
  int added = 0;
  int of_other_code = 0;  // there already, measured by another revision, and kept so
};
// Adds all points of `from` to `into` in one transaction per file.
Result<MergedPoints> MergeStores(const std::vector<std::filesystem::path>& from,
                                 const std::filesystem::path& into);

}  // namespace stac
