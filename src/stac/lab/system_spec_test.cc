#include "stac/lab/system_spec.h"

#include <gmock/gmock.h>

namespace stac {
namespace {

using ::testing::HasSubstr;

std::string ErrorOf(const std::string& text) {
  const auto spec = SystemSpec::Parse(text);
  return spec ? "no error" : spec.error().message;
}

TEST(SystemSpec, FillsDefaultsAndKeepsWhatWasGiven) {
  const auto spec = SystemSpec::Parse("h264:crf=30,preset=fast,scale=0.75,fps=5");
  ASSERT_TRUE(spec.has_value()) << spec.error().message;
  EXPECT_EQ(spec->kind(), SystemKind::kH264);
  EXPECT_EQ(spec->Number("crf"), 30);
  EXPECT_EQ(spec->Number("aq"), 1);
  EXPECT_EQ(spec->Text("preset"), "fast");
  EXPECT_EQ(spec->scale(), 0.75);
  EXPECT_EQ(spec->Short(), "h264:crf=30,fps=5,preset=fast,scale=0.75");
}

TEST(SystemSpec, OneSettingHasOneCanonicalText) {
  EXPECT_EQ(SystemSpec::Parse("h264:crf=30.0,fps=5")->Canonical(),
            SystemSpec::Parse("h264:fps=5,crf=3e1")->Canonical());
  EXPECT_NE(SystemSpec::Parse("h264:crf=30")->Canonical(),
            SystemSpec::Parse("h264:crf=31")->Canonical());
  // A default that is written out is the same point.
  EXPECT_EQ(SystemSpec::Parse("h264:aq=1")->Canonical(), SystemSpec::Parse("h264")->Canonical());
}

TEST(SystemSpec, PresetsCanBeChangedByLaterSettings) {
  const auto paper = SystemSpec::Parse("stac:paper,qp=30,aq=0.6");
  ASSERT_TRUE(paper.has_value()) << paper.error().message;
  EXPECT_EQ(paper->Text("rule"), "paper");
  EXPECT_EQ(paper->Text("matrices"), "profile");
  EXPECT_TRUE(paper->Flag("middle_first"));
  EXPECT_EQ(paper->Number("aq"), 0.6);
}

TEST(SystemSpec, WithPutsKnobsOnTop) {
  const auto base = SystemSpec::Parse("casva:qp=20");
  const auto point = base->With({{"qp", "34"}, {"fps", "5"}});
  ASSERT_TRUE(point.has_value());
  EXPECT_EQ(point->Number("qp"), 34);
  EXPECT_EQ(base->Number("qp"), 20);
}

TEST(SystemSpec, ErrorsNameTheSettingAndWhatIsAllowed) {
  EXPECT_THAT(ErrorOf("h265:crf=3"), HasSubstr("allowed: jpeg, h264, h264-abr, grace, grace+"));
  EXPECT_THAT(ErrorOf("h264:qp=3"), HasSubstr("h264 has no setting 'qp'; it has fps, scale"));
  EXPECT_THAT(ErrorOf("h264:crf=99"), HasSubstr("crf of h264 is '99'; allowed: 0..51"));
  EXPECT_THAT(ErrorOf("h264:crf=nan"), HasSubstr("allowed: 0..51"));
  EXPECT_THAT(ErrorOf("h264:crf=3x"), HasSubstr("allowed: 0..51"));
  EXPECT_THAT(ErrorOf("stac:levels=2.5"), HasSubstr("a whole number 2..128"));
  EXPECT_THAT(ErrorOf("stac:region=24"), HasSubstr("multiples of 16"));
  EXPECT_THAT(ErrorOf("stac:matrices=foo"), HasSubstr("flat, jvt or profile"));
  EXPECT_THAT(ErrorOf("stac:papr"), HasSubstr("no preset of stac (paper, recipe, single)"));
  EXPECT_THAT(ErrorOf(""), HasSubstr("there is no system ''"));
}

TEST(SystemSpec, EveryKindIsDescribed) {
  const std::string text = DescribeSystems();
  for (const char* kind : {"jpeg:", "h264:", "h264-abr:", "grace:", "grace+:", "accmpeg:", "casva:",
                           "boundary:", "stac:"}) {
    EXPECT_THAT(text, HasSubstr(kind));
  }
}

}  // namespace
}  // namespace stac
