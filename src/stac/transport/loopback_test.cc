#include <gmock/gmock.h>

#include <thread>

#include "stac/transport/link.h"
#include "stac/transport/send_queue.h"

namespace stac {
namespace {

using testing::HasSubstr;

TEST(LoopbackTest, MessagesArriveInOrderBothWays) {
  LinkPair pair = MakeLoopback();
  ASSERT_TRUE(pair.a->Send(Bytes{1}, 0));
  ASSERT_TRUE(pair.a->Send(Bytes{2, 3}, 0));
  ASSERT_TRUE(pair.b->Send(Bytes{9}, 0));
  EXPECT_EQ(**pair.b->Receive(), Bytes{1});
  EXPECT_EQ(**pair.b->Receive(), (Bytes{2, 3}));
  EXPECT_EQ(*pair.b->Receive(), std::nullopt);
  EXPECT_EQ(**pair.a->Receive(), Bytes{9});
  EXPECT_EQ(pair.a->Stats().bytes_sent, 3);
  EXPECT_EQ(pair.b->Stats().messages_received, 2);
}

TEST(LoopbackTest, CloseLeavesWhatIsWaitingReadable) {
  LinkPair pair = MakeLoopback();
  ASSERT_TRUE(pair.a->Send(Bytes{1}, 0));
  pair.a.reset();
  EXPECT_FALSE(pair.b->up());
  EXPECT_EQ(**pair.b->Receive(), Bytes{1});
  EXPECT_FALSE(pair.b->Receive().has_value());
  EXPECT_FALSE(pair.b->Send(Bytes{1}, 0));
  pair.b->Wait(1'000'000'000);  // returns at once: the link is down
}

TEST(LoopbackTest, EmptyAndHugeMessagesAreRefused) {
  LinkPair pair = MakeLoopback();
  EXPECT_FALSE(pair.a->Send({}, 0));
  EXPECT_FALSE(pair.a->Send(Bytes(kMaxMessageBytes + 1), 0));
  EXPECT_TRUE(pair.a->Send(Bytes(kMaxMessageBytes), 0));
}

TEST(LoopbackTest, APeerThatNeverReadsCannotGrowTheQueue) {
  LinkPair pair = MakeLoopback();
  const Bytes message(kMaxMessageBytes);
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(pair.a->Send(message, 1000));
  EXPECT_TRUE(pair.a->Send(message, 1000));  // dropped
  EXPECT_FALSE(pair.a->Send(message, 0));    // must not be dropped, so it fails
  EXPECT_EQ(pair.a->Stats().messages_expired, 1);
  EXPECT_EQ(pair.a->Stats().messages_sent, 4);
}

TEST(LoopbackTest, ThreadsMaySendAndReceiveAtOnce) {
  constexpr int kCount = 2000;
  LinkPair pair = MakeLoopback();
  std::thread echo([&] {
    for (int i = 0; i < kCount;) {
      pair.b->Wait(1'000'000);
      while (true) {
        const auto message = pair.b->Receive();
        if (!message || !*message) break;
        ASSERT_TRUE(pair.b->Send(**message, 0));
        ++i;
      }
    }
  });
  int received = 0;
  for (int i = 0; i < kCount; ++i) {
    ASSERT_TRUE(pair.a->Send(Bytes{static_cast<uint8_t>(i)}, 0));
    while (const auto message = *pair.a->Receive()) {
      EXPECT_EQ((*message)[0], static_cast<uint8_t>(received++));
    }
  }
  echo.join();
  while (*pair.a->Receive()) ++received;
  EXPECT_EQ(received, kCount);
}

TEST(SendQueueTest, ExpiredMessagesAreDroppedWhereverTheyStand) {
  SendQueue queue(100);
  ASSERT_TRUE(queue.Push(Bytes{1}, 0, 50));
  ASSERT_TRUE(queue.Push(Bytes{2}, 0, 0));
  ASSERT_TRUE(queue.Push(Bytes{3}, 0, 30));
  EXPECT_EQ(queue.bytes(), 3u);
  EXPECT_EQ(queue.Pop(29), Bytes{1});
  queue.Expire(30);
  EXPECT_EQ(queue.bytes(), 1u);
  EXPECT_EQ(queue.expired(), 1);
  EXPECT_EQ(queue.Pop(1'000'000), Bytes{2});
  EXPECT_EQ(queue.Pop(1'000'000), std::nullopt);
}

TEST(SendQueueTest, AFullQueueDropsOnlyWhatMayBeDropped) {
  SendQueue queue(3);
  ASSERT_TRUE(queue.Push(Bytes(3), 0, 100));
  ASSERT_TRUE(queue.Push(Bytes(1), 50, 100));
  EXPECT_EQ(queue.expired(), 1);
  const Status status = queue.Push(Bytes(1), 50, 0);
  ASSERT_FALSE(status);
  EXPECT_THAT(status.error().message, HasSubstr("full"));
  EXPECT_TRUE(queue.Push(Bytes(1), 100, 0));  // the first one has expired by now
}

}  // namespace
}  // namespace stac
