#include "label_folders.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "stac/base/test_folder.h"

namespace stac {
namespace {

TEST(LabelFoldersTest, EachConnectionHasItsOwn) {
  const TestFolder root;
  const std::string name = (root / "camera@a_1").string();
  {
    LabelFolders folders(root.path().string());
    EXPECT_EQ(*folders.Of("camera@a:1", 7), name);
    EXPECT_EQ(*folders.Of("camera@a:1", 7), name);
    EXPECT_EQ(*folders.Of("camera@a:1", 8), name + "_2");
  }
  LabelFolders after_a_restart(root.path().string());
  EXPECT_EQ(*after_a_restart.Of("camera@a:1", 7), name + "_3");
  EXPECT_TRUE(std::filesystem::is_directory(name + "_3"));
}

TEST(LabelFoldersTest, AFolderThatCannotBeMadeIsAnError) {
  const TestFolder root;
  LabelFolders folders((root / "not there").string());
  EXPECT_FALSE(folders.Of("camera", 1));
}

}  // namespace
}  // namespace stac
