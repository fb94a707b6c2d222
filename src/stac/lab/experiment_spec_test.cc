#include "stac/lab/experiment_spec.h"

#include <gmock/gmock.h>

namespace stac {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kGood[] = R"(name = "small"
reference = "h264"
seed = 7

[[network]]
name = "net"
path = "net.pt"

[[clip]]
name = "street"
source = "synthetic:320x192@15"
frames = 60

[[clip]]
name = "other"
source = "synthetic:320x192@15:2"

[[system]]
spec = "h264:aq=1"
knobs = { crf = [20, 30, 40, 50], fps = [15, 5] }

[[system]]
name = "ours"
spec = "stac"
knobs = { qp = [28, 28.0, 34] }

[quick]
frames = 10
clips = 1
knob_values = 2
)";

std::string ErrorOf(std::string text) {
  const auto spec = ParseExperiment(text, "x.toml", false);
  return spec ? "no error" : spec.error().message;
}
std::string Replace(std::string text, const std::string& from, const std::string& to) {
  return text.replace(text.find(from), from.size(), to);
}

TEST(ExperimentSpec, KnobListsExpandToAMatrix) {
  const auto spec = ParseExperiment(kGood, "x.toml", false);
  ASSERT_TRUE(spec.has_value()) << spec.error().message;
  EXPECT_EQ(spec->seed, 7u);
  EXPECT_EQ(spec->clips[0].frames, 60);
  const auto points = ExpandMatrix(*spec);
  // Per clip: 4 x 2 of h264, and 2 of ours because 28 and 28.0 are one point.
  ASSERT_EQ(points.size(), 20u);
  EXPECT_EQ(points[0].system, "h264");
  EXPECT_EQ(points[0].spec.Short(), "h264:aq=1,crf=20,fps=15");
  EXPECT_EQ(points[8].system, "ours");
  EXPECT_EQ(points[10].clip, 1u);
}

TEST(ExperimentSpec, QuickIsSmaller) {
  const auto spec = ParseExperiment(kGood, "x.toml", true);
  ASSERT_TRUE(spec.has_value());
  EXPECT_EQ(spec->clips.size(), 1u);
  EXPECT_EQ(spec->clips[0].frames, 10);
  const auto points = ExpandMatrix(*spec);
  ASSERT_EQ(points.size(), 6u);
  EXPECT_EQ(points[0].spec.Number("crf"), 20);
  EXPECT_EQ(points[2].spec.Number("crf"), 50);
}

TEST(ExperimentSpec, APredictedMapNeedsANetworkForIt) {
  const std::string asks = Replace(kGood, "spec = \"stac\"", "spec = \"accmpeg\"");
  EXPECT_THAT(ErrorOf(asks), HasSubstr("set accmpeg = \"FILE.stacnet\" in the [[network]] net"));
  EXPECT_EQ(ErrorOf(Replace(asks, "\"accmpeg\"", "\"accmpeg:map=oracle\"")), "no error");
  const auto given = ParseExperiment(
      Replace(asks, "path = \"net.pt\"", "path = \"net.pt\"\naccmpeg = \"mb.stacnet\""), "x.toml",
      false);
  ASSERT_TRUE(given.has_value()) << given.error().message;
  EXPECT_EQ(given->networks[0].accmpeg, "mb.stacnet");
}

TEST(ExperimentSpec, ErrorsHaveALineAndWhatIsAllowed) {
  EXPECT_THAT(ErrorOf(Replace(kGood, "\"other\"", "\"street\"")),
              StartsWith("x.toml:14: there is a 'street' already"));
  EXPECT_THAT(ErrorOf(Replace(kGood, "seed = 7", "sed = 7")),
              StartsWith("x.toml:3: unknown key 'sed'; allowed here: name, title, figure"));
  EXPECT_THAT(ErrorOf(Replace(kGood, "seed = 7", "seed = -7")),
              StartsWith("x.toml:3: 'seed' must"));
  EXPECT_THAT(ErrorOf(Replace(kGood, "seed = 7", "seed = ")), StartsWith("x.toml:"));
  EXPECT_THAT(ErrorOf(Replace(kGood, "crf = [20", "crf = [99")),
              StartsWith("x.toml:20: crf of h264 is '99'; allowed: 0..51"));
  EXPECT_THAT(ErrorOf(Replace(kGood, "crf", "quality")),
              HasSubstr("h264 has no setting 'quality'"));
  EXPECT_THAT(ErrorOf(Replace(kGood, "spec = \"stac\"", "spec = \"stack\"")),
              StartsWith("x.toml:24: there is no system 'stack'"));
  EXPECT_THAT(ErrorOf(Replace(kGood, "frames = 60", "frames = 1.5")),
              StartsWith("x.toml:12: 'frames' must be a whole number"));
  EXPECT_THAT(ErrorOf(Replace(kGood, "frames = 60", "human = \"city\"")),
              HasSubstr("allowed: , camvid11, train_ids"));
  EXPECT_THAT(ErrorOf(Replace(kGood, "path = \"net.pt\"", "")), HasSubstr("'path' is missing"));
  EXPECT_THAT(ErrorOf("name = \"x\"\nfigure = \"pie\"\n"),
              HasSubstr("x.toml:2: 'figure' is \"pie\"; allowed: accuracy-bitrate, gradient-maps"));
  EXPECT_THAT(ErrorOf("name = \"x\"\n"), HasSubstr("no [[network]]"));
}

TEST(ExperimentSpec, SharedDataNeedsItsFolder) {
  const char* before = getenv("STAC_DATA");
  const std::string kept = before == nullptr ? "" : before;
  setenv("STAC_DATA", "/nowhere/at/all", 1);
  const std::string missing = ErrorOf(Replace(kGood, "net.pt", "$STAC_DATA/net.pt"));
  setenv("STAC_DATA", "/tmp", 1);
  const auto there = ParseExperiment(Replace(kGood, "net.pt", "$STAC_DATA/net.pt"), "x", false);
  before == nullptr ? unsetenv("STAC_DATA") : setenv("STAC_DATA", kept.c_str(), 1);
  EXPECT_THAT(missing, StartsWith("x.toml:7: 'path': the path \"$STAC_DATA/net.pt\" needs the "
                                  "shared data: set STAC_DATA"));
  ASSERT_TRUE(there.has_value());
  EXPECT_EQ(there->networks[0].path, "/tmp/net.pt");
}

}  // namespace
}  // namespace stac
