#include <gtest/gtest.h>

namespace stac {
namespace {

TEST(Placeholder, Nothing) {}

}  // namespace
}  // namespace stac
