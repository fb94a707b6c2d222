#include "stac/transport/send_queue.h"

#include <gtest/gtest.h>

#include <limits>

namespace stac {
namespace {

TEST(SendQueueTest, MessagesLeaveInTheirOrderAndNotAfterTheirTime) {
  SendQueue queue(100);
  ASSERT_TRUE(queue.Push(Bytes(3, 1), 0, 1000));
  ASSERT_TRUE(queue.Push(Bytes(4, 2), 0, 0));
  ASSERT_TRUE(queue.Push(Bytes(5, 3), 0, std::numeric_limits<Micros>::max()));
  EXPECT_EQ(queue.bytes(), 12u);
  EXPECT_EQ(queue.Pop(1000), Bytes(4, 2));  // the first one is late
  EXPECT_EQ(queue.expired(), 1);
  EXPECT_EQ(queue.bytes(), 5u);
  EXPECT_EQ(queue.Pop(std::numeric_limits<Micros>::max() - 1), Bytes(5, 3));
  EXPECT_EQ(queue.bytes(), 0u);
  EXPECT_EQ(queue.Pop(0), std::nullopt);
}

TEST(SendQueueTest, WhatDoesNotFitIsAnErrorUnlessItMayExpire) {
  SendQueue queue(10);
  ASSERT_TRUE(queue.Push(Bytes(20, 1), 0, 0));  // alone, any size goes
  EXPECT_FALSE(queue.Push(Bytes(1, 2), 0, 0));
  EXPECT_TRUE(queue.Push(Bytes(1, 2), 0, 1000));
  EXPECT_EQ(queue.expired(), 1);
  EXPECT_EQ(queue.Clear(), 1);
  EXPECT_EQ(queue.bytes(), 0u);
  EXPECT_TRUE(queue.Push(Bytes(9, 3), 0, 0));
}

}  // namespace
}  // namespace stac
