#include "stac/lab/result_store.h"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmath>

#include "stac/base/file.h"

namespace stac {
namespace {

using ::testing::HasSubstr;

std::filesystem::path FreshFolder() {
  const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
  const auto folder = std::filesystem::path(::testing::TempDir()) /
                      fmt::format("stac_store_{}_{}", test->name(), getpid());
  std::filesystem::remove_all(folder);
  return folder;
}

ResultRow Row(const std::string& key, double pa) {
  ResultRow row;
  row.key = key;
  row.system = "h264";
  row.spec = "h264:crf=30,fps=0";
  row.knobs = "h264:crf=30,fps=0";
  row.network = "net";
  row.clip = "clip";
  row.seed = uint64_t{1} << 63;
  row.frames = 40;
  row.total_kbps = 123.25;
  row.pa = pa;
  return row;
}

TEST(PointKey, DependsOnEveryPart) {
  const PointIdentity base{.spec = "a",
                           .network_hash = "b",
                           .clip_hash = "c",
                           .profile_hash = "d",
                           .seed = 1,
                           .options = "e"};
  EXPECT_EQ(PointKey(base), PointKey(PointIdentity(base)));
  std::vector<PointIdentity> others(6, base);
  others[0].spec = "x";
  others[1].network_hash = "x";
  others[2].clip_hash = "x";
  others[3].profile_hash = "x";
  others[4].seed = 2;
  others[5].options = "x";
  for (const auto& other : others) EXPECT_NE(PointKey(other), PointKey(base));
}

TEST(ResultStore, KeepsTheSecondsOfAPointOnce) {
  const auto folder = FreshFolder();
  ResultRow row = Row("b", 0.5);
  row.segments = {{.system = "h264",
                   .network = "net",
                   .clip = "clip",
                   .segment = 0,
                   .configuration = {30, 5, 0.5},
                   .accuracy = 0.75,
                   .kbps = 120,
                   .video_kbps = 100,
                   .c = 2e6,
                   .d = 8e6},
                  {.system = "h264", .network = "net", .clip = "clip", .segment = 1}};
  {
    auto store = ResultStore::Open(folder / "from.db");
    ASSERT_TRUE((*store)->Add(row).has_value());
    ASSERT_TRUE((*store)->Add(Row("a", 0.25)).has_value());
    ResultRow again = row;
    again.segments[0].accuracy = 0;
    ASSERT_TRUE((*store)->Add(again).has_value());  // the first result counts
  }
  EXPECT_EQ(MergeStores({folder / "from.db"}, folder / "into.db")->added, 2);
  auto store = ResultStore::Open(folder / "into.db");
  const auto rows = (*store)->All().value();
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_TRUE(rows[0].segments.empty());
  EXPECT_EQ(rows[1].segments, row.segments);
  ASSERT_TRUE((*store)->Remove({"b"}).has_value());
  ASSERT_TRUE((*store)->Add(Row("b", 0.5)).has_value());
  EXPECT_TRUE((*store)->All().value()[1].segments.empty());
}

TEST(ResultStore, KeepsRowsAsTheyWereAcrossOpening) {
  const auto path = FreshFolder() / "results.db";
  {
    auto store = ResultStore::Open(path);
    ASSERT_TRUE(store.has_value()) << store.error().message;
    ASSERT_TRUE((*store)->Add(Row("k1", 0.1 + 0.2)).has_value());
  }
  auto store = ResultStore::Open(path);
  ASSERT_TRUE(store.has_value());
  EXPECT_TRUE((*store)->Has("k1").value());
  EXPECT_FALSE((*store)->Has("k2").value());
  const auto rows = (*store)->All().value();
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].pa, 0.1 + 0.2);  // bit for bit
  EXPECT_EQ(rows[0].seed, uint64_t{1} << 63);
  EXPECT_TRUE(std::isnan(rows[0].pa_human));
  EXPECT_EQ(rows[0].knobs, "h264:crf=30,fps=0");
}

TEST(ResultStore, TheFirstResultOfAPointCounts) {
  auto store = ResultStore::Open(FreshFolder() / "results.db");
  ASSERT_TRUE((*store)->Add(Row("k", 0.5)).has_value());
  ASSERT_TRUE((*store)->Add(Row("k", 0.6)).has_value());
  EXPECT_EQ((*store)->All()->size(), 1u);
  EXPECT_EQ((*store)->All()->front().pa, 0.5);
  ASSERT_TRUE((*store)->Remove({"k"}).has_value());
  EXPECT_TRUE((*store)->All()->empty());
}

TEST(ResultStore, SeveralProcessesWriteAndAKilledOneLosesNothing) {
  const auto path = FreshFolder() / "results.db";
  ASSERT_TRUE(ResultStore::Open(path).has_value());
  std::vector<pid_t> children;
  for (int worker = 0; worker < 3; ++worker) {
    const pid_t child = fork();
    if (child == 0) {
      auto store = ResultStore::Open(path);
      for (int i = 0; i < 20; ++i) {
        if (!store || !(*store)->Add(Row(fmt::format("{}-{}", worker, i), 0.5))) _exit(1);
      }
      kill(getpid(), SIGKILL);  // no destructors, no checkpoint
    }
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status));
  }
  auto store = ResultStore::Open(path);
  EXPECT_EQ((*store)->All()->size(), 60u);
}

TEST(ResultStore, MergingIsAUnion) {
  const auto folder = FreshFolder();
  for (const auto& [file, keys] :
       {std::pair<std::string, std::vector<std::string>>{"a", {"1", "2"}}, {"b", {"2", "3"}}}) {
    auto store = ResultStore::Open(folder / file);
    for (const auto& key : keys) ASSERT_TRUE((*store)->Add(Row(key, 0.5)).has_value());
  }
  EXPECT_EQ(MergeStores({folder / "a", folder / "b"}, folder / "all")->added, 3);
  EXPECT_EQ(MergeStores({folder / "a"}, folder / "all")->added, 0);
  EXPECT_FALSE(MergeStores({folder / "missing"}, folder / "all").has_value());
}

TEST(ResultStore, MergingSaysWhatOtherCodeMeasured) {
  const auto folder = FreshFolder();
  for (const char* revision : {"old", "new"}) {
    auto store = ResultStore::Open(folder / revision);
    ResultRow row = Row("1", 0.5);
    row.revision = revision;
    ASSERT_TRUE((*store)->Add(row).has_value());
  }
  EXPECT_EQ(MergeStores({folder / "old"}, folder / "all")->of_other_code, 0);
  const auto again = MergeStores({folder / "new"}, folder / "all");
  EXPECT_EQ(again->added, 0);
  EXPECT_EQ(again->of_other_code, 1);
  EXPECT_EQ((*ResultStore::Open(folder / "all"))->All()->front().revision, "old");
}

TEST(ResultStore, RefusesForeignFiles) {
  const auto path = FreshFolder() / "results.db";
  ASSERT_TRUE(WriteFile(path, std::string_view("this is not a database, but it is long enough "
                                               "that SQLite looks at its header bytes........."))
                  .has_value());
  const auto store = ResultStore::Open(path);
  ASSERT_FALSE(store.has_value());
  EXPECT_THAT(store.error().message, HasSubstr("not a database"));
}

TEST(ResultsCsv, HasTheAgreedColumnsAndAStableOrder) {
  std::vector<ResultRow> rows = {Row("b", 0.75), Row("a", 0.5)};
  rows[1].total_kbps = 100;
  const std::string csv = ResultsCsv(rows);
  for (const char* column :
       {"system,network,clip,knobs,frames", "fps_key,scale", "video_kbps", "label_kbps",
        "feedback_kbps,total_kbps,pa,miou,pa_human,miou_human"}) {
    EXPECT_THAT(csv.substr(0, csv.find('\n')), HasSubstr(column));
  }
  EXPECT_THAT(csv, HasSubstr("h264,net,clip,\"h264:crf=30,fps=0\",40,0,0,1,,0,0,0,0,100,0.5,0,,,"));
  EXPECT_LT(csv.find(",100,0.5"), csv.find(",123.25,0.75"));
  std::swap(rows[0], rows[1]);
  EXPECT_EQ(ResultsCsv(rows), csv);
}

TEST(NecessaryShare, IsThatOfAllRowsTogether) {
  std::vector<ResultRow> rows = {Row("a", 0), Row("b", 0)};
  rows[0].encode_s = 1, rows[0].total_s = 2;
  rows[1].network_s = 5, rows[1].decode_s = 1, rows[1].total_s = 6;
  EXPECT_DOUBLE_EQ(NecessaryShare(rows), 7.0 / 8);
}

}  // namespace
}  // namespace stac
