#include "stac/transport/fragments.h"

#include <gtest/gtest.h>

#include <random>

namespace stac {
namespace {

TEST(FragmentsTest, PacketsAreAsDocumented) {
  Fragmenter fragmenter({1, 2, 3, 4, 5});
  const auto next = [&] {
    const ByteSpan packet = fragmenter.Next(6);
    return Bytes(packet.begin(), packet.end());
  };
  EXPECT_EQ(next(), (Bytes{5, 0, 0, 0, 1, 2}));
  EXPECT_EQ(fragmenter.left(), 3u);
  EXPECT_FALSE(fragmenter.done());
  EXPECT_EQ(next(), (Bytes{3, 4, 5}));
  EXPECT_TRUE(fragmenter.done());
}

TEST(FragmentsTest, MessagesOfAllSizesRoundTrip) {
  Reassembler reassembler(5000);
  for (size_t size = 1; size <= 5000; size += size < 40 ? 1 : 331) {
    const Bytes message(size, static_cast<uint8_t>(size));
    Fragmenter fragmenter(message);
    std::optional<Bytes> whole;
    while (!fragmenter.done()) {
      ASSERT_FALSE(whole);
      auto result = reassembler.Add(fragmenter.Next(16));
      ASSERT_TRUE(result.has_value());
      whole = *std::move(result);
    }
    EXPECT_EQ(whole, message);
  }
}

TEST(FragmentsTest, EmptyPacketsBetweenMessagesAreNone) {
  Reassembler reassembler(100);
  for (int i = 0; i < 2; ++i) {
    const auto none = reassembler.Add(kEmptyPacket);
    ASSERT_TRUE(none.has_value());
    EXPECT_FALSE(*none);
    const auto message = reassembler.Add(Bytes{1, 0, 0, 0, 9});
    ASSERT_TRUE(message && *message);
    EXPECT_EQ(**message, Bytes{9});
  }
  // Within a message it is a part of it.
  ASSERT_TRUE(reassembler.Add(Bytes{5, 0, 0, 0, 9}));
  const auto rest = reassembler.Add(kEmptyPacket);
  ASSERT_TRUE(rest && *rest);
  EXPECT_EQ(**rest, (Bytes{9, 0, 0, 0, 0}));
}

TEST(FragmentsTest, HostilePacketsAreErrors) {
  const auto add = [](Bytes packet) { return Reassembler(100).Add(packet).has_value(); };
  EXPECT_FALSE(add({}));
  EXPECT_FALSE(add({1, 0, 0}));
  EXPECT_FALSE(add({0, 0, 0, 0, 1}));
  EXPECT_FALSE(add({101, 0, 0, 0, 1}));
  EXPECT_TRUE(add({100, 0, 0, 0, 1}));
  EXPECT_FALSE(add({0xFF, 0xFF, 0xFF, 0xFF, 1}));
  EXPECT_FALSE(add({1, 0, 0, 0, 1, 2}));
  EXPECT_TRUE(add({2, 0, 0, 0, 1, 2}));
  EXPECT_TRUE(add({2, 0, 0, 0, 1}));
  std::mt19937 random(3);
  Reassembler reassembler(1000);
  for (int i = 0; i < 10000; ++i) {
    Bytes packet(random() % 40);
    for (auto& byte : packet) byte = static_cast<uint8_t>(random() % 4);
    if (const auto message = reassembler.Add(packet); message && *message) {
      EXPECT_LE((*message)->size(), 1000u);
    }
  }
}

}  // namespace
}  // namespace stac
