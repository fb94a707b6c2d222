#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <set>
#include <string>
#include <tuple>

#include "stac/base/file.h"
#include "stac/base/test_folder.h"
#include "stac/segment/classes.h"
#include "stac/segment/fake_segmenter.h"
#include "stac/segment/openmp_wait.h"

namespace stac {
namespace {

Frame GreyRamp(int width, int height) {
  Frame frame(width, height);
  for (int i = 0; i < 3; ++i) {
    const PlaneView& plane = frame.plane(i);
    for (int y = 0; y < plane.height; ++y) {
      for (int x = 0; x < plane.width; ++x) {
        frame.MutablePlane(i)[y * plane.stride + x] = static_cast<uint8_t>((x * 7 + y * 3) & 255);
      }
    }
  }
  return frame;
}

TEST(ClassesTest, KnownListsHaveDistinctNamesAndColors) {
  for (const int count : {2, 11, 19, 60}) {
    std::set<std::string> names;
    std::set<std::tuple<int, int, int>> colors;
    for (const ClassInfo& info : DefaultClasses(count)) {
      names.insert(info.name);
      colors.insert({info.r, info.g, info.b});
    }
    EXPECT_EQ(names.size(), static_cast<size_t>(count));
    EXPECT_EQ(colors.size(), static_cast<size_t>(count)) << count << " classes";
  }
  EXPECT_EQ(DefaultClasses(19)[13].name, "car");
  EXPECT_EQ(DefaultClasses(11)[8].name, "car");
}

class ReadClassesTest : public testing::Test {
 protected:
  Result<ClassList> Read(const std::string& text) {
    const TestFolder folder;
    const auto path = folder / "classes.json";
    EXPECT_TRUE(WriteFile(path, text));
    return ReadClasses(path);
  }
};

TEST_F(ReadClassesTest, ReadsNamesAndColors) {
  const auto classes = Read(R"([{"name": "road", "color": [1, 2, 3]},
                                {"name": "sky", "color": [0, 0, 255]}])");
  ASSERT_TRUE(classes) << classes.error().message;
  ASSERT_EQ(classes->size(), 2u);
  EXPECT_EQ((*classes)[0].name, "road");
  EXPECT_EQ((*classes)[0].g, 2);
  EXPECT_EQ((*classes)[1].b, 255);
}

TEST_F(ReadClassesTest, SaysWhatIsWrong) {
  const auto message = [&](const std::string& text) {
    const auto classes = Read(text);
    return classes ? std::string("accepted") : classes.error().message;
  };
  EXPECT_NE(message("[").find("not valid JSON"), std::string::npos);
  EXPECT_NE(message("[]").find("expected a list"), std::string::npos);
  EXPECT_NE(message(R"([{"color": [1, 2, 3]}])").find("entry 0 has no \"name\""),
            std::string::npos);
  EXPECT_NE(message(R"([{"name": "road"}])").find("needs \"color\""), std::string::npos);
  EXPECT_NE(message(R"([{"name": "road", "color": [1, 2, 256]}])").find("0..255"),
            std::string::npos);
  EXPECT_NE(message(R"([{"name": "road", "color": [1, 2, 0.5]}])").find("0..255"),
            std::string::npos);
}

TEST(FakeSegmenterTest, LabelsAreLumaBands) {
  FakeSegmenter segmenter(4);
  const Frame frame = GreyRamp(32, 16);
  const auto result = segmenter.Run(frame);
  ASSERT_TRUE(result);
  EXPECT_TRUE(result->gradients.empty());
  for (int x = 0; x < 32; ++x) EXPECT_EQ(result->labels(x, 5), frame.y().At(x, 5) / 64);
}

TEST(FakeSegmenterTest, GradientIsTheDerivativeOfItsObjective) {
  FakeSegmenter segmenter(11);
  Objective objective;
  objective.projections = 3;
  objective.class_weights.assign(11, 1.f);
  objective.class_weights[3] = 2.5f;
  const Frame frame = GreyRamp(32, 16);
  const auto result = segmenter.RunWithGradient(frame, objective);
  ASSERT_TRUE(result);
  ASSERT_EQ(result->gradients.size(), 3u);
  for (int k = 0; k < 3; ++k) {
    for (int x = 0; x < 32; ++x) {
      const double luma = frame.y().At(x, 7);
      const double weight = result->labels(x, 7) == 3 ? 2.5 : 1;
      const auto share = [&](double v) {
        return weight * std::pow(std::sin(M_PI * 11 * v / 256 + k), 2);
      };
      const double h = 1e-4;
      EXPECT_NEAR(result->gradients[k].y(x, 7), (share(luma + h) - share(luma - h)) / (2 * h),
                  1e-6);
    }
  }
}

TEST(FakeSegmenterTest, RefusesWeightsOfOtherClassCounts) {
  FakeSegmenter segmenter(4);
  Objective objective;
  objective.class_weights.assign(5, 1.f);
  const auto result = segmenter.RunWithGradient(GreyRamp(16, 16), objective);
  ASSERT_FALSE(result);
  EXPECT_NE(result.error().message.find("5 class weights"), std::string::npos);
}

TEST(FakeSegmenterTest, ClonesAnswerAlike) {
  FakeSegmenter segmenter(7);
  const auto clone = segmenter.Clone();
  EXPECT_EQ(clone->info().hash, segmenter.info().hash);
  const Frame frame = GreyRamp(16, 16);
  EXPECT_EQ(clone->Run(frame)->labels, segmenter.Run(frame)->labels);
}

// In a child process: the program starts anew once, with the variable set and the same arguments.
TEST(OpenMpWaitTest, RestartsOnceWithTheSettingAndTheSameArguments) {
  const auto restarted = [] {
    const char* const argv[] = {"segment_test", "--gtest_list_tests", nullptr};
    unsetenv("OMP_WAIT_POLICY");
    unsetenv("GOMP_SPINCOUNT");
    RestartWithSleepingThreads(const_cast<char**>(argv));
    std::_Exit(7);  // did not restart; the restarted program lists its tests and exits with 0
  };
  EXPECT_EXIT(restarted(), testing::ExitedWithCode(0), "");
  const auto left_alone = [] {
    char* argv[] = {nullptr};
    setenv("OMP_WAIT_POLICY", "ACTIVE", 1);
    RestartWithSleepingThreads(argv);
    std::_Exit(std::string(std::getenv("OMP_WAIT_POLICY")) == "ACTIVE" ? 5 : 6);
  };
  EXPECT_EXIT(left_alone(), testing::ExitedWithCode(5), "");
}

}  // namespace
}  // namespace stac
