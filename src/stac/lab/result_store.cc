#include "stac/lab/result_store.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include <cmath>
#include <map>

#include "stac/base/bytes.h"
#include "stac/base/file.h"

namespace stac {
namespace {

constexpr int kSchemaVersion = 1;
// Identifies our files among SQLite databases: "stac" as a number.
constexpr int kApplicationId = 0x73746163;

// One list of the columns serves creating, writing and reading.
template <typename Row, typename Visit>
void VisitColumns(Row& row, Visit&& visit) {
  visit("key", row.key);
  visit("system", row.system);
  visit("spec", row.spec);
  visit("knobs", row.knobs);
  visit("network", row.network);
  visit("network_hash", row.network_hash);
  visit("clip", row.clip);
  visit("clip_hash", row.clip_hash);
  visit("profile_hash", row.profile_hash);
  visit("revision", row.revision);
  visit("seed", row.seed);
  visit("frames", row.frames);
  visit("keyframes", row.keyframes);
  visit("fps_key", row.fps_key);
  visit("scale", row.scale);
  visit("mean_qp", row.mean_qp);
  visit("video_kbps", row.video_kbps);
  visit("label_kbps", row.label_kbps);
  visit("level_kbps", row.level_kbps);
  visit("feedback_kbps", row.feedback_kbps);
  visit("total_kbps", row.total_kbps);
  visit("pa", row.pa);
  visit("miou", row.miou);
  visit("pa_human", row.pa_human);
  visit("miou_human", row.miou_human);
  visit("encode_s", row.encode_s);
  visit("decode_s", row.decode_s);
  visit("network_s", row.network_s);
  visit("total_s", row.total_s);
}

// The seconds of a point, in a table of their own; names are the point's.
template <typename Row, typename Visit>
void VisitSegmentColumns(Row& row, Visit&& visit) {
  visit("segment", row.segment);
  visit("base_qp", row.configuration.base_qp);
  visit("keyframe_fps", row.configuration.keyframe_fps);
  visit("scale", row.configuration.scale);
  visit("accuracy", row.accuracy);
  visit("kbps", row.kbps);
  visit("video_kbps", row.video_kbps);
  visit("c", row.c);
  visit("d", row.d);
}

const char* SqlType(const std::string&) { return "TEXT NOT NULL"; }
const char* SqlType(uint64_t) { return "INTEGER NOT NULL"; }
const char* SqlType(int) { return "INTEGER NOT NULL"; }
const char* SqlType(double) { return "REAL"; }

void Bind(sqlite3_stmt* statement, int at, const std::string& text) {
  sqlite3_bind_text(statement, at, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT);
}
void Bind(sqlite3_stmt* statement, int at, int value) { sqlite3_bind_int(statement, at, value); }
void Bind(sqlite3_stmt* statement, int at, uint64_t value) {
  sqlite3_bind_int64(statement, at, static_cast<sqlite3_int64>(value));
}
void Bind(sqlite3_stmt* statement, int at, double value) {
  // SQLite stores NaN as NULL in any case; say so.
  std::isnan(value) ? sqlite3_bind_null(statement, at) : sqlite3_bind_double(statement, at, value);
}

void Take(sqlite3_stmt* statement, int at, std::string& text) {
  const auto* bytes = sqlite3_column_text(statement, at);
  text.assign(reinterpret_cast<const char*>(bytes), sqlite3_column_bytes(statement, at));
}
void Take(sqlite3_stmt* s, int at, int& value) { value = sqlite3_column_int(s, at); }
void Take(sqlite3_stmt* s, int at, uint64_t& value) {
  value = static_cast<uint64_t>(sqlite3_column_int64(s, at));
}
void Take(sqlite3_stmt* s, int at, double& value) {
  value =
      sqlite3_column_type(s, at) == SQLITE_NULL ? ResultRow::kNone : sqlite3_column_double(s, at);
}

struct CloseDatabase {
  void operator()(sqlite3* db) const { sqlite3_close(db); }
};
struct FinalizeStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Database = std::unique_ptr<sqlite3, CloseDatabase>;
using Statement = std::unique_ptr<sqlite3_stmt, FinalizeStatement>;

class SqliteStore final : public ResultStore {
 public:
  SqliteStore(std::filesystem::path path, Database db)
      : path_(std::move(path)), db_(std::move(db)) {}

  Status Initialize() {
    // Workers write at the same time; each waits for its turn.
    sqlite3_busy_timeout(db_.get(), 60'000);
    STAC_ASSIGN_OR_RETURN(const int application, Pragma("application_id"));
    STAC_ASSIGN_OR_RETURN(const int version, Pragma("user_version"));
    STAC_ASSIGN_OR_RETURN(const int tables, SchemaSize());
    const bool fresh = application == 0 && tables == 0;
    if (!fresh && application != kApplicationId) {
      return Fail("{} is a database of another program", path_.string());
    }
    if (!fresh && version != kSchemaVersion) {
      return Fail("{} has results of format {}, this program writes {}: use another folder",
                  path_.string(), version, kSchemaVersion);
    }
    std::string columns;
    ResultRow row;
    VisitColumns(row, [&](const char* name, auto& value) {
      columns += fmt::format("{}{} {}", columns.empty() ? "" : ", ", name, SqlType(value));
    });
    STAC_RETURN_IF_ERROR(Execute("PRAGMA journal_mode = WAL"));
    STAC_RETURN_IF_ERROR(Execute("PRAGMA synchronous = NORMAL"));
    STAC_RETURN_IF_ERROR(Execute("BEGIN IMMEDIATE"));
    STAC_RETURN_IF_ERROR(Execute(fmt::format("PRAGMA application_id = {}", kApplicationId)));
    STAC_RETURN_IF_ERROR(Execute(fmt::format("PRAGMA user_version = {}", kSchemaVersion)));
    STAC_RETURN_IF_ERROR(
        Execute(fmt::format("CREATE TABLE IF NOT EXISTS points ({}, PRIMARY KEY (key))", columns)));
    std::string segment_columns = "key TEXT NOT NULL";
    SegmentRow segment;
    VisitSegmentColumns(segment, [&](const char* name, auto& value) {
      segment_columns += fmt::format(", {} {}", name, SqlType(value));
    });
    STAC_RETURN_IF_ERROR(Execute(fmt::format(
        "CREATE TABLE IF NOT EXISTS segments ({}, PRIMARY KEY (key, segment))", segment_columns)));
    return Execute("COMMIT");
  }

  Status Add(const ResultRow& row) override {
    // A savepoint, since this may be part of a transaction.
    STAC_RETURN_IF_ERROR(Execute("SAVEPOINT point"));
    const Status added = AddPoint(row);
    if (!added) STAC_RETURN_IF_ERROR(Execute("ROLLBACK TO point"));
    STAC_RETURN_IF_ERROR(Execute("RELEASE point"));
    return added;
  }

  Status AddPoint(const ResultRow& row) {
    std::string names, marks;
    VisitColumns(row, [&](const char* name, const auto&) {
      names += fmt::format("{}{}", names.empty() ? "" : ", ", name);
      marks += marks.empty() ? "?" : ", ?";
    });
    STAC_ASSIGN_OR_RETURN(
        const Statement insert,
        Prepare(fmt::format("INSERT OR IGNORE INTO points ({}) VALUES ({})", names, marks)));
    int at = 0;
    VisitColumns(row, [&](const char*, const auto& value) { Bind(insert.get(), ++at, value); });
    STAC_RETURN_IF_ERROR(Finish(insert.get()));
    if (sqlite3_changes(db_.get()) == 0) return OkStatus();  // the point is there already
    for (const SegmentRow& segment : row.segments) {
      STAC_RETURN_IF_ERROR(AddSegment(row.key, segment));
    }
    return OkStatus();
  }

  Status AddSegment(const std::string& key, const SegmentRow& segment) {
    std::string names = "key", marks = "?";
    VisitSegmentColumns(segment, [&](const char* name, const auto&) {
      names += fmt::format(", {}", name);
      marks += ", ?";
    });
    STAC_ASSIGN_OR_RETURN(
        const Statement insert,
        Prepare(fmt::format("INSERT INTO segments ({}) VALUES ({})", names, marks)));
    Bind(insert.get(), 1, key);
    int at = 1;
    VisitSegmentColumns(segment,
                        [&](const char*, const auto& value) { Bind(insert.get(), ++at, value); });
    return Finish(insert.get());
  }

  Result<bool> Has(const std::string& key) override {
    STAC_ASSIGN_OR_RETURN(const Statement select, Prepare("SELECT 1 FROM points WHERE key = ?"));
    Bind(select.get(), 1, key);
    const int code = sqlite3_step(select.get());
    if (code != SQLITE_ROW && code != SQLITE_DONE) return Broken();
    return code == SQLITE_ROW;
  }

  Result<std::vector<ResultRow>> All() override {
    std::string names;
    ResultRow row;
    VisitColumns(row, [&](const char* name, auto&) {
      names += fmt::format("{}{}", names.empty() ? "" : ", ", name);
    });
    STAC_ASSIGN_OR_RETURN(const Statement select,
                          Prepare(fmt::format("SELECT {} FROM points ORDER BY key", names)));
    std::vector<ResultRow> rows;
    int code = SQLITE_ROW;
    while ((code = sqlite3_step(select.get())) == SQLITE_ROW) {
      int at = 0;
      VisitColumns(row, [&](const char*, auto& value) { Take(select.get(), at++, value); });
      rows.push_back(row);
    }
    if (code != SQLITE_DONE) return Broken();
    STAC_RETURN_IF_ERROR(AttachSegments(rows));
    return rows;
  }

  // `rows` in the order of their keys.
  Status AttachSegments(std::vector<ResultRow>& rows) {
    std::string names = "key";
    SegmentRow segment;
    VisitSegmentColumns(segment,
                        [&](const char* name, auto&) { names += fmt::format(", {}", name); });
    STAC_ASSIGN_OR_RETURN(
        const Statement select,
        Prepare(fmt::format("SELECT {} FROM segments ORDER BY key, segment", names)));
    auto row = rows.begin();
    int code = SQLITE_ROW;
    while ((code = sqlite3_step(select.get())) == SQLITE_ROW) {
      std::string key;
      Take(select.get(), 0, key);
      while (row != rows.end() && row->key < key) ++row;
      if (row == rows.end()) break;
      if (row->key != key) continue;
      int at = 1;
      VisitSegmentColumns(segment,
                          [&](const char*, auto& value) { Take(select.get(), at++, value); });
      segment.system = row->system;
      segment.network = row->network;
      segment.clip = row->clip;
      row->segments.push_back(segment);
    }
    if (code != SQLITE_DONE && code != SQLITE_ROW) return Broken();
    return OkStatus();
  }

  Status Remove(const std::vector<std::string>& keys) override {
    STAC_RETURN_IF_ERROR(Execute("BEGIN IMMEDIATE"));
    for (const std::string& key : keys) {
      for (const char* table : {"points", "segments"}) {
        STAC_ASSIGN_OR_RETURN(const Statement remove,
                              Prepare(fmt::format("DELETE FROM {} WHERE key = ?", table)));
        Bind(remove.get(), 1, key);
        STAC_RETURN_IF_ERROR(Finish(remove.get()));
      }
    }
    return Execute("COMMIT");
  }

  Status Execute(const std::string& sql) {
    if (sqlite3_exec(db_.get(), sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
      return Broken();
    }
    return OkStatus();
  }

 private:
  tl::unexpected<Error> Broken() const {
    return Fail("{}: {}", path_.string(), sqlite3_errmsg(db_.get()));
  }
  Result<Statement> Prepare(const std::string& sql) {
    sqlite3_stmt* statement = nullptr;
    if (sqlite3_prepare_v2(db_.get(), sql.c_str(), -1, &statement, nullptr) != SQLITE_OK) {
      return Broken();
    }
    return Statement(statement);
  }
  Status Finish(sqlite3_stmt* statement) {
    if (sqlite3_step(statement) != SQLITE_DONE) return Broken();
    return OkStatus();
  }
  Result<int> Scalar(const std::string& sql) {
    STAC_ASSIGN_OR_RETURN(const Statement select, Prepare(sql));
    if (sqlite3_step(select.get()) != SQLITE_ROW) return Broken();
    return sqlite3_column_int(select.get(), 0);
  }
  Result<int> Pragma(const std::string& name) { return Scalar("PRAGMA " + name); }
  Result<int> SchemaSize() { return Scalar("SELECT count(*) FROM sqlite_schema"); }

  std::filesystem::path path_;
  Database db_;
};

Result<std::unique_ptr<SqliteStore>> OpenSqlite(const std::filesystem::path& path, bool create) {
  sqlite3* raw = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | (create ? SQLITE_OPEN_CREATE : 0);
  const int code = sqlite3_open_v2(path.c_str(), &raw, flags, nullptr);
  Database db(raw);
  if (code != SQLITE_OK) return Fail("cannot open {}: {}", path.string(), sqlite3_errstr(code));
  auto store = std::make_unique<SqliteStore>(path, std::move(db));
  STAC_RETURN_IF_ERROR(store->Initialize());
  return store;
}

}  // namespace

std::string PointKey(const PointIdentity& identity) {
  return HexHash(AsBytes(fmt::format("{}\n{}\n{}\n{}\n{}\n{}", identity.spec, identity.network_hash,
                                     identity.clip_hash, identity.profile_hash, identity.seed,
                                     identity.options)));
}

Result<std::unique_ptr<ResultStore>> ResultStore::Open(const std::filesystem::path& path) {
  if (!path.parent_path().empty()) STAC_RETURN_IF_ERROR(MakeFolder(path.parent_path()));
  return OpenSqlite(path, true);
}

Result<MergedPoints> MergeStores(const std::vector<std::filesystem::path>& from,
                                 const std::filesystem::path& into) {
  if (!into.parent_path().empty()) STAC_RETURN_IF_ERROR(MakeFolder(into.parent_path()));
  STAC_ASSIGN_OR_RETURN(const auto target, OpenSqlite(into, true));
  STAC_ASSIGN_OR_RETURN(const auto before, target->All());
  std::map<std::string, std::string> revisions;
  for (const ResultRow& row : before) revisions.emplace(row.key, row.revision);
  MergedPoints merged;
  for (const auto& path : from) {
    STAC_ASSIGN_OR_RETURN(const auto source, OpenSqlite(path, false));
    STAC_ASSIGN_OR_RETURN(const auto rows, source->All());
    STAC_RETURN_IF_ERROR(target->Execute("BEGIN IMMEDIATE"));
    for (const ResultRow& row : rows) {
      const auto [known, added] = revisions.emplace(row.key, row.revision);
      if (added) ++merged.added;
      if (known->second != row.revision) ++merged.of_other_code;
      STAC_RETURN_IF_ERROR(target->Add(row));
    }
    STAC_RETURN_IF_ERROR(target->Execute("COMMIT"));
  }
  return merged;
}

}  // namespace stac
