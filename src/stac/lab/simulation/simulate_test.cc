#include "stac/lab/simulation/simulate.h"

#include <gmock/gmock.h>

#include <algorithm>

#include "stac/base/file.h"
#include "stac/base/revision.h"
#include "stac/base/test_folder.h"
#include "stac/lab/simulation/content_table.h"
#include "stac/lab/simulation/simulation_figures.h"
#include "stac/lab/test_tools.h"

namespace stac {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr char kSpec[] = R"(name = "small"
seconds = 4
skip_seconds = 1
tables = ["TABLE"]
[[network]]
name = "fake"
path = "NETWORK"
[[clip]]
name = "street"
source = "any"
frames = 8
[[network_type]]
name = "wifi"
path = "synthetic-wifi"
mean_kbps = 300
traces = 2
[[system]]
name = "stac"
spec = "stac"
[[system]]
name = "accmpeg"
spec = "accmpeg:map=oracle"
controller = "profile"
[link]
delay_ms = 10
[quick]
traces = 1
)";

constexpr char kTable[] =
    "system,network,clip,segment,base_qp,keyframe_fps,scale,accuracy,kbps,video_kbps,c,d\n"
    "accmpeg,fake,street,1,30,5,1,0.9,200,200,10,10\n"
    "accmpeg,fake,street,1,42,5,1,0.8,50,50,10,10\n";

std::string Replaced(std::string text, const std::string& what, const std::string& by) {
  const size_t at = text.find(what);
  EXPECT_NE(at, std::string::npos) << what;
  return text.replace(at, what.size(), by);
}

class SimulateTest : public ::testing::Test {
 protected:
  SimulateTest() {
    EXPECT_TRUE(WriteFile(folder_.path() / "net.pt", std::string_view("weights")).has_value());
    EXPECT_TRUE(WriteFile(folder_.path() / "table.csv", std::string_view(kTable)).has_value());
    text_ = Replaced(kSpec, "NETWORK", (folder_.path() / "net.pt").string());
    text_ = Replaced(text_, "TABLE", (folder_.path() / "table.csv").string());
  }
  Result<SimulateSummary> Run(const std::string& out, bool quick = false, int jobs = 2) {
    const auto spec = ParseSimulation(text_, "small.toml", quick);
    EXPECT_TRUE(spec.has_value()) << spec.error().message;
    return Simulate(*spec, {.out = folder_.path() / out, .jobs = jobs}, TestTools(), stop_);
  }
  std::string File(const std::string& path) {
    const auto bytes = ReadFile(folder_.path() / path);
    return bytes ? std::string(AsText(*bytes)) : "missing";
  }
  std::string ParseError(const std::string& what, const std::string& by) {
    const auto spec = ParseSimulation(Replaced(text_, what, by), "small.toml", false);
    return spec ? "no error" : spec.error().message;
  }

  TestFolder folder_;
  std::string text_;
  std::atomic<bool> stop_ = false;
};

TEST_F(SimulateTest, RunsTheMatrixOnceAndFindsItAgain) {
  const auto first = Run("a");
  ASSERT_TRUE(first.has_value()) << first.error().message;
  EXPECT_EQ(first->measured, 4);
  ASSERT_EQ(first->runs.size(), 4u);
  const std::string csv = File("a/adaptation.csv");
  EXPECT_THAT(csv, HasSubstr("system,network_type,trace,network,clips,pa,delay_p50_ms,"
                             "delay_p99_ms,use_percent,overshoot_percent\nstac,wifi,"));
  EXPECT_THAT(File("a/seconds.csv"), HasSubstr(",keyframe_fps,scale,pa\n"));
  const auto again = Run("a");
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->measured, 0);
  EXPECT_EQ(File("a/adaptation.csv"), csv);
  // The same numbers with other processes.
  ASSERT_TRUE(Run("b", false, 1).has_value());
  EXPECT_EQ(File("b/adaptation.csv"), csv);
  // A part of it is found in the whole.
  const auto quick = Run("a", true);
  ASSERT_TRUE(quick.has_value());
  EXPECT_EQ(quick->measured, 0);
  EXPECT_EQ(quick->runs.size(), 2u);
  // The others stay where they are, but the figure is of that part.
  const std::string names = File("a/runs.txt");
  EXPECT_EQ(std::count(names.begin(), names.end(), '\n'), 2);
  ASSERT_TRUE(DrawSimulation(folder_ / "a"));
  ASSERT_TRUE(Run("c", true).has_value());  // that part alone
  ASSERT_TRUE(DrawSimulation(folder_ / "c"));
  EXPECT_EQ(File("a/figures/adaptation_fake_street.dat"),
            File("c/figures/adaptation_fake_street.dat"));
  EXPECT_NE(File("a/figures/adaptation_fake_street.dat"), "missing");
  EXPECT_THAT(DrawSimulation(folder_ / "nothing").error().message, Not(IsEmpty()));
}

TEST_F(SimulateTest, AStreamIsShownUnderTheNamesOfNow) {
  ASSERT_TRUE(Run("a", true));
  text_ = Replaced(text_, "\"wifi\"", "\"cafe, upstairs\"");
  const auto renamed = Run("a", true);
  ASSERT_TRUE(renamed) << renamed.error().message;
  EXPECT_THAT(File("a/adaptation.csv"), HasSubstr("stac,\"cafe, upstairs\","));
}

TEST_F(SimulateTest, AnotherProfileIsAnotherStream) {
  const auto file = folder_.path() / "net.profile.json";
  Profile profile = UncalibratedProfile("fake", "", 8);
  ASSERT_TRUE(WriteProfile(file, profile));
  text_ =
      Replaced(text_, "name = \"fake\"", "name = \"fake\"\nprofile = \"" + file.string() + "\"");
  const auto first = Run("a", true);
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(Run("a", true)->measured, 0);
  profile.max_qp -= 1;
  ASSERT_TRUE(WriteProfile(file, profile));
  EXPECT_EQ(Run("a", true)->measured, 2);
}

TEST_F(SimulateTest, StreamsOfOtherCodeAreCountedAndRunAgainIfAsked) {
  ASSERT_TRUE(Run("a", true));
  const auto runs = folder_.path() / "a/runs";
  const auto file = std::filesystem::directory_iterator(runs)->path();
  const std::string name = "a/runs/" + file.filename().string();
  const std::string text = File(name);
  ASSERT_TRUE(WriteFile(file, Replaced(text, CodeRevision(), "older")));
  EXPECT_EQ(Run("a", true)->measured, 0);
  EXPECT_EQ(Run("a", true)->other_revision, 1);
  const auto spec = ParseSimulation(text_, "small.toml", true);
  const auto redone = Simulate(*spec, {.out = folder_ / "a", .redo = true}, TestTools(), stop_);
  EXPECT_EQ(redone->measured, 1);
  EXPECT_EQ(redone->other_revision, 0);
  EXPECT_EQ(File(name), text);
}

TEST_F(SimulateTest, RunsSurviveTheirFiles) {
  SimulatedRun run{.system = "s", .network_type = "t", .trace = "r", .network = "n", .clip = "c"};
  run.summary = {.pa = 0.875, .delay_p50_ms = NAN, .delay_p99_ms = 12.5, .missing = 3};
  run.seconds = {{.bandwidth_kbps = 100, .keyframes = 4, .decision = {.base_qp = 31}}};
  const auto read = RunFromJson(RunToJson(run));
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(AdaptationCsv({*read}), AdaptationCsv({run}));
  EXPECT_EQ(SecondsCsv({*read}), SecondsCsv({run}));
  EXPECT_FALSE(RunFromJson("{\"system\": 3}").has_value());
  EXPECT_FALSE(RunFromJson("nonsense").has_value());
}

TEST_F(SimulateTest, MistakesAreToldWithTheirLine) {
  EXPECT_THAT(ParseError("spec = \"accmpeg:map=oracle\"", "spec = \"h264\""),
              HasSubstr("cannot change"));
  EXPECT_THAT(ParseError("spec = \"accmpeg:map=oracle\"", "spec = \"casva\""),
              HasSubstr("use casva:rate=qp"));
  for (const char* ignored : {"qp=30", "fps=5", "scale=0.5"}) {
    EXPECT_THAT(ParseError("accmpeg:map=oracle", std::string("accmpeg:map=oracle,") + ignored),
                HasSubstr("stands in [start]"));
  }
  EXPECT_THAT(ParseError("spec = \"accmpeg:map=oracle\"", "spec = \"stac:ladder=around\""),
              HasSubstr("use ladder=full"));
  EXPECT_THAT(ParseError("spec = \"accmpeg:map=oracle\"", "spec = \"stac:consumer=server\""),
              HasSubstr("leave consumer=server out"));
  EXPECT_THAT(ParseError("controller = \"profile\"", "controller = \"magic\""),
              HasSubstr("allowed: fixed, profile, tuner, casva"));
  EXPECT_THAT(ParseError("controller = \"profile\"", "controller = \"tuner\""),
              HasSubstr("'weights' is missing"));
  EXPECT_THAT(ParseError("[[network_type]]\n",
                         "[[network]]\nname = \"fake\"\npath = \"p\"\n[[network_type]]\n"),
              HasSubstr("there is a 'fake' already"));
  EXPECT_THAT(ParseError("delay_ms = 10", "delay_ms = -1"), HasSubstr("small.toml:"));
  EXPECT_THAT(ParseError("delay_ms = 10", "speed = 10"), HasSubstr("unknown key 'speed'"));
  EXPECT_THAT(ParseError("skip_seconds = 1", "skip_seconds = 9"), HasSubstr("leaves nothing"));
}

TEST_F(SimulateTest, ProfilesThatWereNotMeasuredAreToldBeforeTheRun) {
  text_ = Replaced(text_, "name = \"fake\"", "name = \"other\"");
  const auto run = Run("c");
  ASSERT_FALSE(run.has_value());
  EXPECT_THAT(run.error().message, HasSubstr("no rows of system accmpeg with network other"));
}

TEST_F(SimulateTest, TestTracesAreNotThoseForTraining) {
  for (const char* name : {"a", "b", "c", "d"}) {
    ASSERT_TRUE(WriteFile(folder_.path() / "traces" / (std::string(name) + ".csv"),
                          std::string_view("time_s,kbps\n0,100\n1,300\n2,100\n3,300\n"))
                    .has_value());
  }
  const NetworkType type{
      .name = "t", .path = (folder_.path() / "traces").string(), .mean_kbps = 1000};
  const auto test = LoadTraces(type, true, 0, 2, 1), train = LoadTraces(type, false, 0, 2, 1);
  ASSERT_TRUE(test.has_value() && train.has_value());
  EXPECT_EQ(test->size() + train->size(), 4u);
  for (const Trace& a : *test) {
    EXPECT_NEAR(Statistics(a).mean_kbps, 1000, 1e-6);
    EXPECT_EQ(a.duration_s, 2);
    for (const Trace& b : *train) EXPECT_NE(a.name, b.name);
  }
  EXPECT_FALSE(LoadTraces({.name = "x", .path = "/nowhere"}, true, 0, 2, 1).has_value());
  const auto dead = folder_ / "dead.csv";
  ASSERT_TRUE(WriteFile(dead, std::string_view("time_s,kbps\n0,100\n1,0\n2,0\n3,100\n")));
  const auto nothing = LoadTraces({.name = "x", .path = dead, .mean_kbps = 100}, true, 0, 2, 1);
  ASSERT_FALSE(nothing.has_value());
  EXPECT_THAT(nothing.error().message, HasSubstr("carry nothing"));
}

TEST_F(SimulateTest, ContentOfATableCanBeReplaced) {
  const LabTools tools = TestTools();
  std::vector<Clip> clips;
  clips.push_back(LoadClip({.name = "street", .source = "any", .frames = 20}, tools).value());
  const auto rows = ParseSegmentTable(kTable).value();
  EXPECT_EQ(WithContent(rows, ContentKind::kWithoutC, clips, tools)->front().c, 1);
  EXPECT_EQ(WithContent(rows, ContentKind::kWithoutC, clips, tools)->front().d, 10);
  const auto bits = WithContent(rows, ContentKind::kPreencoded, clips, tools);
  ASSERT_TRUE(bits.has_value()) << bits.error().message;
  EXPECT_GT(bits->front().c, bits->front().d);
  EXPECT_GT(bits->front().d, 10);
  EXPECT_FALSE(WithContent(rows, ContentKind::kPreencoded, {}, tools).has_value());
}

}  // namespace
}  // namespace stac
