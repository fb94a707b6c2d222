#include "stac/lab/evaluate.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <algorithm>
#include <map>

#include "stac/base/file.h"
#include "stac/capture/synthetic_scene.h"
#include "stac/lab/clip.h"
#include "stac/lab/figures_internal.h"
#include "stac/lab/result_folder.h"
#include "stac/lab/result_store.h"
#include "stac/lab/test_tools.h"

namespace stac {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kSpec[] = R"(name = "small"
reference = "h264"
[[network]]
name = "fake"
path = "NETWORK"
accmpeg = "NETWORK"
[[clip]]
name = "street"
source = "any"
frames = 4
[[system]]
spec = "h264"
knobs = { crf = [24, 34] }
[[system]]
spec = "stac"
knobs = { qp = [24, 34] }
[[system]]
spec = "accmpeg"
[[system]]
name = "accmpeg-oracle"
spec = "accmpeg:map=oracle,every=1"
)";

// A synthetic scene with human labels that are all the same.
class LabelledSource final : public FrameSource {
 public:
  explicit LabelledSource(uint8_t label) : label_(label) {}
  const SourceInfo& info() const override { return scene_->info(); }
  Result<std::optional<Frame>> Next() override { return scene_->Next(); }
  std::optional<LabelMap> Labels() override {
    return LabelMap(info().width, info().height, label_);
  }

 private:
  std::unique_ptr<FrameSource> scene_ = MakeSyntheticSource({.width = 64, .height = 48}, {});
  uint8_t label_;
};

class EvaluateTest : public ::testing::Test {
 protected:
  EvaluateTest() {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    root_ = fs::path(::testing::TempDir()) / fmt::format("stac_{}{}", test->name(), getpid());
    fs::remove_all(root_);
    EXPECT_TRUE(WriteFile(root_ / "net.pt", std::string_view("weights")).has_value());
    std::string text = kSpec;
    for (int i = 0; i < 2; ++i) {
      text.replace(text.find("NETWORK"), 7, (root_ / "net.pt").string());
    }
    spec_ = ParseExperiment(text, "small.toml", false).value();
  }

  EvaluateSummary Run(const std::string& folder, int jobs, int shard = 1, int shards = 1) {
    const auto summary =
        Evaluate(spec_, {.out = root_ / folder, .jobs = jobs, .shard = shard, .shards = shards},
                 TestTools(), stop_);
    EXPECT_TRUE(summary.has_value()) << summary.error().message;
    return summary.value_or(EvaluateSummary{});
  }
  std::string File(const fs::path& path) {
    const auto bytes = ReadFile(root_ / path);
    return bytes ? std::string(AsText(*bytes)) : "missing";
  }

  fs::path root_;
  ExperimentSpec spec_;
  std::atomic<bool> stop_ = false;
};

TEST_F(EvaluateTest, SameNumbersWhateverTheNumberOfProcesses) {
  EXPECT_EQ(Run("one", 1).measured, 6);
  EXPECT_EQ(Run("two", 2).measured, 6);
  EXPECT_EQ(File("one/results.csv"), File("two/results.csv"));
  EXPECT_THAT(File("one/results.csv"), HasSubstr("stac,fake,street,stac:qp=24,4,4,10,1,"));
  EXPECT_EQ(File("one/spec.toml"), spec_.text);
}

TEST_F(EvaluateTest, ASecondRunMeasuresOnlyWhatIsMissing) {
  Run("out", 2);
  const std::string before = File("out/results.csv");
  {
    auto store = ResultStore::Open(root_ / "out/results.db");
    const auto rows = (*store)->All().value();
    ASSERT_TRUE((*store)->Remove({rows[0].key, rows[3].key}).has_value());
  }
  const EvaluateSummary summary = Run("out", 2);
  EXPECT_EQ(summary.points, 6);
  EXPECT_EQ(summary.measured, 2);
  EXPECT_EQ(File("out/results.csv"), before);
  EXPECT_EQ(Run("out", 2).measured, 0);
}

TEST_F(EvaluateTest, ShardsMergeToTheWhole) {
  Run("all", 2);
  EXPECT_EQ(Run("a", 1, 1, 2).points, 3);
  EXPECT_EQ(Run("b", 1, 2, 2).points, 3);
  ASSERT_TRUE(MergeResults({root_ / "a", root_ / "b"}, root_ / "merged").has_value());
  ASSERT_TRUE(WriteResultFiles(root_ / "merged").has_value());
  EXPECT_EQ(File("merged/results.csv"), File("all/results.csv"));
  // One after the other is the same.
  for (const char* part : {"b", "a"}) {
    ASSERT_TRUE(MergeResults({root_ / part}, root_ / "joined").has_value());
  }
  ASSERT_TRUE(WriteResultFiles(root_ / "joined").has_value());
  EXPECT_EQ(File("joined/results.csv"), File("all/results.csv"));
}

TEST_F(EvaluateTest, APointIsShownUnderTheNamesOfNow) {
  Run("out", 2);
  spec_.networks[0].name = "renamed";
  EXPECT_EQ(Run("out", 2).measured, 6);
  EXPECT_THAT(File("out/results.csv"), Not(HasSubstr("fake")));
}

TEST_F(EvaluateTest, OtherHumanLabelsAreAnotherClip) {
  LabTools tools = TestTools();
  uint8_t truth = 1;
  tools.open_source = [&](const std::string&, const SourceOptions&) {
    return Result<std::unique_ptr<FrameSource>>(std::make_unique<LabelledSource>(truth));
  };
  const ClipEntry entry{.name = "c", .source = "any", .frames = 4, .human = "camvid11"};
  const std::string before = LoadClip(entry, tools)->hash;
  EXPECT_EQ(LoadClip(entry, tools)->hash, before);
  truth = 2;
  EXPECT_NE(LoadClip(entry, tools)->hash, before);
}

TEST_F(EvaluateTest, AnotherSeedIsAnotherPoint) {
  Run("out", 2);
  spec_.seed = 2;
  EXPECT_EQ(Run("out", 2).measured, 6);
}

// What the same folder had before - a quick variant, say - is kept, but is in no curve.
TEST_F(EvaluateTest, ResultsAreThoseOfTheExperimentAsItWasLastRun) {
  Run("out", 2);
  const std::string before = File("out/results.csv");
  spec_.clips[0].frames = 8;
  EXPECT_EQ(Run("out", 2).measured, 6);
  EXPECT_EQ(ReadResults(root_ / "out")->size(), 6u);
  EXPECT_NE(File("out/results.csv"), before);
  spec_.clips[0].frames = 4;
  EXPECT_EQ(Run("out", 2).measured, 0);
  EXPECT_EQ(File("out/results.csv"), before);
}

TEST_F(EvaluateTest, RedoForgetsOnlyWhatItMeasuresAgain) {
  Run("out", 2);
  {
    const auto store = ResultStore::Open(root_ / "out/results.db").value();
    const std::vector<ResultRow> rows = store->All().value();
    for (ResultRow row : rows) {
      ASSERT_TRUE(store->Remove({row.key}));
      row.revision = "older";
      ASSERT_TRUE(store->Add(row));
    }
  }
  const auto redone =
      Evaluate(spec_, {.out = root_ / "out", .jobs = 2, .shard = 1, .shards = 2, .redo = true},
               TestTools(), stop_);
  ASSERT_TRUE(redone) << redone.error().message;
  EXPECT_EQ(redone->measured, 3);
  const auto rows = ReadResults(root_ / "out").value();
  EXPECT_EQ(rows.size(), 6u);
  EXPECT_EQ(std::count_if(rows.begin(), rows.end(),
                          [](const ResultRow& row) { return row.revision == "older"; }),
            3);
}

TEST_F(EvaluateTest, AnotherNetworkForMacroblocksIsAnotherPointWhereItIsAsked) {
  Run("out", 2);
  ASSERT_TRUE(WriteFile(root_ / "other.stacnet", std::string_view("others")).has_value());
  spec_.networks[0].accmpeg = (root_ / "other.stacnet").string();
  EXPECT_EQ(Run("out", 2).measured, 1);
}

TEST_F(EvaluateTest, FailuresNameThePoint) {
  LabTools tools = TestTools();
  tools.make_encoder = [](const EncoderOptions& options) -> Result<std::unique_ptr<VideoEncoder>> {
    if (options.mode == RateMode::kCrf) return Fail("no such encoder");
    return MakeX264Encoder(options);
  };
  const auto summary = Evaluate(spec_, {.out = root_ / "out", .jobs = 2}, tools, stop_);
  ASSERT_FALSE(summary.has_value());
  EXPECT_THAT(summary.error().message, HasSubstr("2 of 6 failed"));
  EXPECT_THAT(summary.error().message,
              HasSubstr("h264:crf=24 on street with fake: no such encoder"));
  // The others are kept.
  EXPECT_EQ(ResultStore::Open(root_ / "out/results.db").value()->All()->size(), 4u);
}

TEST_F(EvaluateTest, ASweepMeasuresEverySecond) {
  for (SystemEntry& system : spec_.systems) {
    system.base = system.base.With({{"fps", "5"}}).value();
  }
  spec_.clips[0].frames = 25;  // at 10 frames/s: the last half second is left out
  const auto sweep = [&](const std::string& folder, int shard, int shards) {
    return Evaluate(
        spec_,
        {.out = root_ / folder, .jobs = 2, .shard = shard, .shards = shards, .per_second = 1},
        TestTools(), stop_);
  };
  ASSERT_TRUE(sweep("a", 1, 2).has_value());
  ASSERT_TRUE(sweep("b", 2, 2).has_value());
  ASSERT_TRUE(MergeResults({root_ / "a", root_ / "b"}, root_ / "all").has_value());
  ASSERT_TRUE(WriteResultFiles(root_ / "all").has_value());
  const auto rows = ReadSegmentTable(root_ / "all/segments.csv");
  ASSERT_TRUE(rows.has_value()) << rows.error().message;
  ASSERT_EQ(rows->size(), 12u);  // six points of two seconds
  std::map<std::string, double> kbps;
  for (const SegmentRow& row : *rows) {
    EXPECT_EQ(row.configuration.keyframe_fps, 5);
    EXPECT_GT(row.accuracy, 0.5);
    EXPECT_GT(row.kbps, row.video_kbps);
    EXPECT_GT(row.d, 0);
    kbps[fmt::format("{} {}", row.system, row.configuration.base_qp)] += row.video_kbps / 2;
  }
  EXPECT_GT(kbps["stac 24"], kbps["stac 34"]);
  EXPECT_GT(kbps["h264 24"], kbps["h264 34"]);
}

TEST_F(EvaluateTest, ASearchedAllocationIsNeverWorseInBothBitsAndAccuracy) {
  spec_.figure = FigureKind::kAllocationBound;
  Run("bound", 1);
  const auto rows = ReadCsv(root_ / "bound/analysis.csv");
  ASSERT_TRUE(rows) << rows.error().message;
  ASSERT_EQ(rows->size(), 2u * 4 * 3);  // frames, base QPs, rules
  double saved = 0;
  for (size_t i = 0; i < rows->size(); i += 3) {
    const auto number = [&](size_t row, const char* column) {
      return std::stod((*rows)[i + row].at(column));
    };
    ASSERT_EQ((*rows)[i].at("rule"), "uniform");
    ASSERT_EQ((*rows)[i + 2].at("rule"), "search");
    EXPECT_TRUE(number(2, "bits") <= number(0, "bits") || number(2, "pa") >= number(0, "pa")) << i;
    saved += number(0, "bits") - number(2, "bits");
  }
  EXPECT_GT(saved, 0);  // there is something to find
}

TEST_F(EvaluateTest, ASweepNeedsWholeSeconds) {
  const auto summary =
      Evaluate(spec_, {.out = root_ / "out", .per_second = true}, TestTools(), stop_);
  EXPECT_THAT(summary.error().message, HasSubstr("street has 4 frames at 10 frames/s"));
}

TEST_F(EvaluateTest, MissingNetworksAreNamed) {
  spec_.networks[0].path = "/nowhere.pt";
  const auto summary = Evaluate(spec_, {.out = root_ / "out"}, TestTools(), stop_);
  EXPECT_THAT(summary.error().message, HasSubstr("network fake"));
}

}  // namespace
}  // namespace stac
