#include "stac/quant/profile.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "stac/base/test_folder.h"

namespace stac {
namespace {

Profile SomeProfile() {
  Profile profile = UncalibratedProfile("net \"x\"\n", "0123456789abcdef", 19);
  std::mt19937 random(6);
  for (double& g : profile.gradients.luma4) g = static_cast<double>(random()) * 1e-14;
  for (double& g : profile.gradients.cr8) g = static_cast<double>(random()) / 7;
  profile.color = {ColorMatrix::kBt601, ColorRange::kFull};
  profile.frames = {"a.mkv: 0-9", "b/ü: 5-7"};
  profile.frame_count = 13;
  profile.pixel_count = 480 * 360;
  profile.level_count = 20;
  profile.min_qp = 12.5;
  profile.budget_of_level0 = 1.0 / 3;
  profile.typical_sensitivity = 1e-9;
  return profile;
}

// `from` replaced by `to` in the JSON of SomeProfile.
std::string ErrorAfter(const std::string& from, const std::string& to) {
  std::string json = ToJson(SomeProfile());
  const size_t at = json.find(from);
  if (at == std::string::npos) return "\"" + from + "\" does not occur";
  json.replace(at, from.size(), to);
  const auto profile = ProfileFromJson(json);
  return profile ? "accepted" : profile.error().message;
}

TEST(ProfileTest, JsonRoundTripIsExact) {
  const Profile profile = SomeProfile();
  const std::string json = ToJson(profile);
  const auto read = ProfileFromJson(json);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(ToJson(*read), json);
  EXPECT_EQ(read->network, profile.network);
  EXPECT_EQ(read->color, profile.color);
  EXPECT_EQ(read->frames, profile.frames);
  EXPECT_EQ(read->gradients.luma4, profile.gradients.luma4);
  EXPECT_EQ(read->gradients.cr8, profile.gradients.cr8);
  EXPECT_EQ(read->gradient_matrices, profile.gradient_matrices);
  EXPECT_EQ(read->min_qp, 12.5);
  EXPECT_EQ(read->pixel_count, 480 * 360);
  EXPECT_EQ(ProfileHash(*read), ProfileHash(profile));
}

TEST(ProfileTest, FileRoundTripAndHash) {
  const TestFolder folder;
  const auto path = folder / "profile.json";
  ASSERT_TRUE(WriteProfile(path, SomeProfile()));
  const auto read = ReadProfile(path);
  ASSERT_TRUE(read) << read.error().message;
  Profile other = *read;
  EXPECT_EQ(ProfileHash(other), ProfileHash(SomeProfile()));
  other.revision = "another";
  EXPECT_EQ(ProfileHash(other), ProfileHash(SomeProfile()));
  other.gradient_matrices.intra_y4[3] += 1;
  EXPECT_NE(ProfileHash(other), ProfileHash(SomeProfile()));
}

TEST(ProfileTest, MatricesTakeOneLinePerRow) {
  const std::string json = ToJson(SomeProfile());
  EXPECT_NE(json.find("\"intra_y4\": [\n      [6, 13, 20, 28],\n"), std::string::npos) << json;
}

TEST(ProfileTest, ErrorsNameTheField) {
  const auto expect = [](const std::string& message, const std::string& part) {
    EXPECT_NE(message.find(part), std::string::npos) << message;
  };
  expect(ErrorAfter("{", "["), "not valid JSON");
  expect(ErrorAfter("stac-profile", "other"), "\"format\"");
  expect(ErrorAfter("\"version\": 1", "\"version\": 2"), "\"version\"");
  expect(ErrorAfter("\"class_count\": 19", "\"class_count\": 0"), "\"network.class_count\"");
  expect(ErrorAfter("\"class_count\": 19", "\"class_count\": 19.5"), "must be an integer");
  expect(ErrorAfter("\"class_count\"", "\"classes\""), "\"network.class_count\" is missing");
  expect(ErrorAfter("bt601/full", "bt601/ful"), "\"color\"");
  expect(ErrorAfter("\"level_count\": 20", "\"level_count\": 500"), "\"ladder.level_count\"");
  expect(ErrorAfter("\"min_qp\": 12.5", "\"min_qp\": 51"), "\"ladder.max_qp\" must be larger");
  expect(ErrorAfter("\"min_qp\": 12.5", "\"min_qp\": null"), "\"ladder.min_qp\" must be a number");
  expect(ErrorAfter("[6, 13, 20, 28]", "[6, 13, 20]"), "\"matrices.intra_y4\" must be 4 rows");
  expect(ErrorAfter("[6, 13, 20, 28]", "[0, 13, 20, 28]"),
         "\"matrices.intra_y4\" must be a number");
  expect(ErrorAfter("[6, 13, 20, 28]", "[6.5, 13, 20, 28]"), "4 integers");
  expect(ErrorAfter("\"budget_of_level0\": 0.3", "\"budget_of_level0\": -0.3"),
         "\"budget_of_level0\"");
  expect(ErrorAfter("\"frames\": [", "\"frames\": [7, "), "\"calibration.frames\"");
  expect(ErrorAfter("\"color\"", "\"extra\": 1, \"color\""), "\"extra\" is not known");
}

TEST(ProfileTest, TruncatedAndRandomInputIsRefused) {
  const std::string json = ToJson(SomeProfile());
  for (size_t length = 0; length + 2 < json.size(); length += 37) {
    EXPECT_FALSE(ProfileFromJson(json.substr(0, length)));
  }
  std::mt19937 random(9);
  for (int trial = 0; trial < 500; ++trial) {
    std::string damaged = json;
    for (int k = 0; k < 3; ++k) damaged[random() % damaged.size()] = static_cast<char>(random());
    const auto profile = ProfileFromJson(damaged);  // an error or a profile that can be written
    if (profile) {
      EXPECT_TRUE(ProfileFromJson(ToJson(*profile)));
    }
  }
  for (const char* text : {"", "null", "[]", "{}", "{\"format\": 3}", "1e999", "\"\\ud800\""}) {
    EXPECT_FALSE(ProfileFromJson(text)) << text;
  }
}

}  // namespace
}  // namespace stac
