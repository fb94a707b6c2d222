#include "stac/device/connector.h"

#include <gmock/gmock.h>

#include <thread>
#include <vector>

#include "stac/base/test_log.h"

namespace stac {
namespace {

using testing::HasSubstr;

const Hello kHello{.device = "camera", .width = 64, .height = 48, .fps = 10};

// The servers' ends of the links, so that they stay open.
class Servers {
 public:
  // Connects to a server that has answered already.
  std::unique_ptr<Link> Answering(const Welcome& welcome) {
    LinkPair pair = MakeLoopback();
    EXPECT_TRUE(pair.b->Send(Serialize(welcome), 0));
    ends_.push_back(std::move(pair.b));
    return std::move(pair.a);
  }

 private:
  std::vector<std::unique_ptr<Link>> ends_;
};

const Welcome kAccepted{.accepted = true, .network = "fake", .class_count = 6};

void WaitForConnection(Connector& connector) {
  while (!connector.Poll()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

TEST(ConnectorTest, WhyItIsNotConnectedIsSaidWhenTheReasonChanges) {
  const TestLog log;
  Servers servers;
  int attempts = 0;
  Connector connector([&]() -> Result<std::unique_ptr<Link>> {
    switch (attempts++) {
      case 0:
        return Fail("nobody there");
      case 1:
        return servers.Answering({.reason = "full to 91.5 %"});
      case 2:
        return servers.Answering({.reason = "full to 92 %"});
      default:
        return servers.Answering(kAccepted);
    }
  });
  connector.Start(kHello, "nobody there");
  WaitForConnection(connector);
  EXPECT_EQ(attempts, 4);
  EXPECT_EQ(
      log.text(),
      "warning: not connected: the server refused this device: full to 91.5 %; trying again\n");
}

TEST(ConnectorTest, AServerThatRefusedAndLeftIsHeard) {
  const std::atomic<bool> stop{false};
  const Connector connector([]() -> Result<std::unique_ptr<Link>> {
    LinkPair pair = MakeLoopback();
    EXPECT_TRUE(pair.b->Send(Serialize(Welcome{.reason = "full"}), 0));
    pair.b->Close();
    return std::move(pair.a);
  });
  const auto connection = connector.ConnectOnce(kHello, stop);
  ASSERT_FALSE(connection);
  EXPECT_EQ(connection.error().message, "the server refused this device: full");
}

TEST(ConnectorTest, TheWaitGrowsUntilTheServerAnswers) {
  Servers servers;
  Connector connector(
      [&]() -> Result<std::unique_ptr<Link>> { return servers.Answering(kAccepted); });
  EXPECT_EQ(connector.wait(), 0);
  for (const Micros wait : {200'000, 400'000}) {
    connector.Start(kHello);
    WaitForConnection(connector);
    EXPECT_EQ(connector.wait(), wait);
  }
  connector.OnAnswer();
  EXPECT_EQ(connector.wait(), 0);
}

TEST(ConnectorTest, AServerOfAnotherVersionIsNamedAsThat) {
  Servers servers;
  const Connector connector([&]() -> Result<std::unique_ptr<Link>> {
    return servers.Answering({.version = kProtocolVersion + 1, .reason = "not a hello"});
  });
  const std::atomic<bool> stop{false};
  EXPECT_THAT(connector.ConnectOnce(kHello, stop).error().message,
              HasSubstr("the other side speaks protocol version 3, this one 2"));
}

TEST(ConnectorTest, AServerThatSaysNothingIsNotWaitedForAfterStop) {
  std::unique_ptr<Link> silent;
  const Connector connector([&]() -> Result<std::unique_ptr<Link>> {
    LinkPair pair = MakeLoopback();
    silent = std::move(pair.b);
    return std::move(pair.a);
  });
  const std::atomic<bool> stop{true};
  EXPECT_THAT(connector.ConnectOnce(kHello, stop).error().message, HasSubstr("interrupted"));
}

}  // namespace
}  // namespace stac
