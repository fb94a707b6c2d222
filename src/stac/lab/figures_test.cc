#include "stac/lab/figures.h"

#include <gmock/gmock.h>
#include <unistd.h>

#include <cmath>

#include "stac/base/file.h"
#include "stac/lab/figures_internal.h"
#include "stac/lab/result_store.h"

namespace stac {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kSpec[] = R"(name = "t"
title = "A <test>"
reference = "h264"
network = [{ name = "net_1", path = "n" }]
clip = [{ name = "c", source = "s" }]
system = [{ spec = "h264" }, { spec = "stac" }]
)";

fs::path FreshFolder(const char* name) {
  const fs::path folder = fs::path(::testing::TempDir()) / fmt::format("{}{}", name, getpid());
  fs::remove_all(folder);
  return folder;
}

std::string Contents(const fs::path& path) {
  const auto bytes = ReadFile(path);
  return bytes ? std::string(AsText(*bytes)) : "";
}

// Two systems, one of which needs half of the other's bits. Skips the test where gnuplot is
// missing.
void DrawTwoSystems(const fs::path& folder, const std::string& clip) {
  ASSERT_TRUE(WriteFile(folder / "spec.toml", std::string_view(kSpec)).has_value());
  {
    auto store = ResultStore::Open(folder / "results.db");
    int key = 0;
    for (const std::string system : {"h264", "stac"}) {
      for (int i = 0; i < 4; ++i) {
        ResultRow row;
        row.key = std::to_string(key++);
        row.system = system;
        row.network = "net_1";
        row.clip = clip;
        row.total_kbps = row.video_kbps = (system == "stac" ? 50 : 100) << i;
        row.pa = row.miou = 0.8 + 0.04 * i;
        ASSERT_TRUE((*store)->Add(row).has_value());
      }
    }
  }
  const Status status = DrawFigures({.folder = folder});
  if (!status && status.error().message.find("not installed") != std::string::npos) {
    GTEST_SKIP() << status.error().message;
  }
  ASSERT_TRUE(status.has_value()) << status.error().message;
}

TEST(Figures, DrawsCurvesAndAPage) {
  const fs::path folder = FreshFolder("stac_fig");
  ASSERT_NO_FATAL_FAILURE(DrawTwoSystems(folder, "c"));
  if (IsSkipped()) return;
  EXPECT_THAT(Contents(folder / "figures/net_1_c.svg"), HasSubstr("<svg"));
  EXPECT_THAT(Contents(folder / "figures/net_1_c.png"), StartsWith("\x89PNG"));
  const std::string page = Contents(folder / "index.html");
  EXPECT_THAT(page, HasSubstr("A &lt;test&gt;"));
  EXPECT_THAT(page, HasSubstr("-50.0%"));
  EXPECT_THAT(page, HasSubstr("figures/net_1_c.svg"));
}

TEST(Figures, NamesAreNoCommandsAndNoPaths) {
  const fs::path folder = FreshFolder("stac_oddfig");
  ASSERT_NO_FATAL_FAILURE(DrawTwoSystems(folder, "../c's `touch PWNED`"));
  if (IsSkipped()) return;
  EXPECT_FALSE(fs::exists(folder / "figures/PWNED"));
  EXPECT_THAT(Contents(folder / "figures/net_1_.._c_s__touch_PWNED_.svg"),
              HasSubstr("`touch PWNED`"));
}

TEST(Figures, SaysWhatIsMissing) {
  const fs::path folder = FreshFolder("stac_nofig");
  EXPECT_FALSE(DrawFigures({.folder = folder}).has_value());
  ASSERT_TRUE(WriteFile(folder / "spec.toml", std::string_view(kSpec)).has_value());
  EXPECT_THAT(DrawFigures({.folder = folder}).error().message, HasSubstr("run stac evaluate"));
  ASSERT_TRUE(WriteFile(folder / "spec.toml", std::string(kSpec) + "figure = \"loss-gap\"\n"));
  ASSERT_TRUE(WriteFile(folder / "analysis.csv", std::string_view("network,clip,qp\nn,c,30\n")));
  EXPECT_THAT(DrawFigures({.folder = folder}).error().message, HasSubstr("has no column 'frame'"));
}

TEST(AnalysisSummary, SaysWhatASearchSaves) {
  CsvRows rows;
  for (const auto& [qp, pa] : {std::pair(41, 0.8), {36, 0.85}, {31, 0.9}, {26, 0.95}}) {
    const double bits = 1000 * std::exp2((41 - qp) / 6.0);
    for (const auto& [rule, share] : {std::pair("uniform", 1.0), {"rule", 1.1}, {"search", 0.5}}) {
      rows.push_back({{"network", "n"},
                      {"clip", "c"},
                      {"frame", "0"},
                      {"rule", rule},
                      {"base_qp", std::to_string(qp)},
                      {"bits", std::to_string(bits * share)},
                      {"pa", std::to_string(pa)}});
    }
  }
  const std::string text = AnalysisSummary(FigureKind::kAllocationBound, rows);
  EXPECT_THAT(text, HasSubstr("n, c: rule needs +10.0 % bits"));
  EXPECT_THAT(text, HasSubstr("n, c: search needs -50.0 % bits"));
}

TEST(ReadCsv, UndoesWhatCsvFieldDoes) {
  const fs::path path = FreshFolder("stac_csv") / "x.csv";
  const std::string odd = "a,\"b\"";
  ASSERT_TRUE(WriteFile(path, "x,y\n" + CsvField(odd) + ",2\n").has_value());
  const auto rows = ReadCsv(path);
  ASSERT_TRUE(rows.has_value());
  EXPECT_EQ((*rows)[0].at("x"), odd);
  EXPECT_EQ((*rows)[0].at("y"), "2");
  ASSERT_TRUE(WriteFile(path, std::string_view("x,y\n1\n")).has_value());
  EXPECT_FALSE(ReadCsv(path).has_value());
}

TEST(GnuplotQuoted, KeepsTextFromBeingMarkup) {
  EXPECT_EQ(GnuplotQuoted("a_b \"c\" {d}\\"), R"('a\_b "c" \{d\}\\')");
  EXPECT_EQ(GnuplotQuoted("it's `ls`\n"), "'it''s `ls` '");
}

}  // namespace
}  // namespace stac
