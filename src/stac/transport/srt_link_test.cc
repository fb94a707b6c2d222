#include "stac/transport/srt_link.h"

#include <gmock/gmock.h>
#include <srt/srt.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <future>
#include <random>
#include <thread>

#include "stac/base/file.h"
#include "stac/base/test_folder.h"
#include "stac/transport/srt_socket_internal.h"

namespace stac {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr Micros kSecond = 1'000'000;
const std::string kPassphrase = "correct horse battery";

struct Connection {
  std::unique_ptr<SrtListener> listener;
  std::unique_ptr<Link> device;
  SrtPeer server;
};

std::string AddressOf(const SrtListener& listener) {
  return fmt::format("127.0.0.1:{}", listener.port());
}

Connection Connect(const SrtOptions& options = {}) {
  Connection connection;
  auto listener = ListenSrt("127.0.0.1:0", options);
  EXPECT_TRUE(listener) << listener.error().message;
  connection.listener = std::move(*listener);
  auto device = ConnectSrt(AddressOf(*connection.listener), options);
  EXPECT_TRUE(device) << device.error().message;
  connection.device = std::move(*device);
  auto accepted = connection.listener->Accept(5 * kSecond);
  EXPECT_TRUE(accepted && *accepted);
  connection.server = std::move(**accepted);
  return connection;
}

Bytes Pattern(size_t size, uint32_t seed) {
  std::mt19937 random(seed);
  Bytes bytes(size);
  for (auto& byte : bytes) byte = static_cast<uint8_t>(random());
  return bytes;
}

// The next message, or empty when none comes in time.
Bytes ReceiveWithin(Link& link, Micros timeout_us = 10 * kSecond) {
  const SystemClock clock;
  const Micros end = clock.Now() + timeout_us;
  while (clock.Now() < end) {
    const auto message = link.Receive();
    if (!message) return {};
    if (*message) return **message;
    link.Wait(end - clock.Now());
  }
  return {};
}

bool WaitUntil(auto condition, Micros timeout_us = 10 * kSecond) {
  const SystemClock clock;
  for (const Micros end = clock.Now() + timeout_us; clock.Now() < end;) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

void ExpectRoundTrips(Connection& connection) {
  for (const size_t size : {1, 2, 1455, 1456, 1457, 50'000, 1'000'000, 5'000'000}) {
    const Bytes up = Pattern(size, 1);
    const Bytes down = Pattern(size, 2);
    ASSERT_TRUE(connection.device->Send(up, 0));
    ASSERT_TRUE(connection.server.link->Send(down, 0));
    EXPECT_TRUE(ReceiveWithin(*connection.server.link) == up) << size;
    EXPECT_TRUE(ReceiveWithin(*connection.device) == down) << size;
  }
}

TEST(SrtLinkTest, MessagesOfAllSizesRoundTrip) {
  Connection connection = Connect();
  ExpectRoundTrips(connection);
  const LinkStats stats = connection.device->Stats();
  EXPECT_EQ(stats.messages_sent, 8);
  EXPECT_EQ(stats.messages_received, 8);
  EXPECT_EQ(stats.bytes_sent, stats.bytes_received);
  EXPECT_TRUE(WaitUntil([&] { return connection.device->Stats().unsent_bytes == 0; }));
  EXPECT_GT(connection.device->Stats().rtt_ms, 0);
}

TEST(SrtLinkTest, EncryptedLinksRoundTripAndNameTheCaller) {
  Connection connection = Connect({.passphrase = kPassphrase, .stream_id = "camera 7"});
  EXPECT_EQ(connection.server.stream_id, "camera 7");
  EXPECT_THAT(connection.server.address, testing::StartsWith("127.0.0.1:"));
  ExpectRoundTrips(connection);
}

TEST(SrtLinkTest, ManySmallMessagesKeepTheirOrder) {
  Connection connection = Connect();
  constexpr int kCount = 500;
  for (int i = 0; i < kCount; ++i) {
    ASSERT_TRUE(connection.device->Send(Pattern(100, static_cast<uint32_t>(i)), 0));
  }
  for (int i = 0; i < kCount; ++i) {
    ASSERT_TRUE(ReceiveWithin(*connection.server.link) == Pattern(100, static_cast<uint32_t>(i)));
  }
}

std::string ErrorOfConnecting(const std::string& listener_passphrase,
                              const std::string& caller_passphrase) {
  auto listener = ListenSrt("127.0.0.1:0", {.passphrase = listener_passphrase});
  EXPECT_TRUE(listener.has_value());
  const auto link = ConnectSrt(AddressOf(**listener), {.passphrase = caller_passphrase});
  EXPECT_FALSE((*listener)->Accept(0)->has_value());
  return link ? "connected" : link.error().message;
}

TEST(SrtLinkTest, WrongAndMissingPassphrasesAreRefusedWithASentence) {
  const std::string wrong = "another passphrase";
  EXPECT_THAT(ErrorOfConnecting(kPassphrase, wrong), HasSubstr("passphrase differs"));
  EXPECT_THAT(ErrorOfConnecting(kPassphrase, ""), HasSubstr("demands a passphrase"));
  EXPECT_THAT(ErrorOfConnecting("", kPassphrase), HasSubstr("has no passphrase"));
  EXPECT_THAT(ErrorOfConnecting(kPassphrase, "short"), HasSubstr("10 to 79"));
  EXPECT_THAT(ErrorOfConnecting(kPassphrase, wrong), Not(HasSubstr(kPassphrase)));
}

TEST(SrtLinkTest, BadAddressesAreExplained) {
  const auto error = [](const std::string& address) {
    const auto link = ConnectSrt(address, {.connect_timeout_ms = 300});
    return link ? "connected" : link.error().message;
  };
  EXPECT_THAT(error("127.0.0.1"), HasSubstr("no port"));
  EXPECT_THAT(error("127.0.0.1:http"), HasSubstr("not a port"));
  EXPECT_THAT(error("127.0.0.1:70000"), HasSubstr("not a port"));
  EXPECT_THAT(error(":9000"), HasSubstr("no host"));
  EXPECT_THAT(error("::1:9000"), HasSubstr("brackets"));
  EXPECT_THAT(error("no-such-host.invalid:9000"), HasSubstr("cannot find the host"));
  // Nobody listens there: port 1 is never given to ordinary programs.
  EXPECT_THAT(error("127.0.0.1:1"), HasSubstr("no answer from 127.0.0.1:1 within 300 ms"));
}

TEST(SrtLinkTest, WhoStopsDoesNotWaitForAnAnswer) {
  const std::atomic<bool> stop{true};
  const auto link = ConnectSrt("127.0.0.1:1", {.connect_timeout_ms = 20'000, .stop = &stop});
  ASSERT_FALSE(link);
  EXPECT_THAT(link.error().message, HasSubstr("interrupted while 127.0.0.1:1 was called"));
}

TEST(SrtLinkTest, APortInUseIsRefused) {
  const auto first = ListenSrt("127.0.0.1:0", {});
  ASSERT_TRUE(first.has_value());
  const auto second = ListenSrt(AddressOf(**first), {});
  ASSERT_FALSE(second.has_value());
  EXPECT_THAT(second.error().message, HasSubstr("cannot listen"));
}

TEST(SrtLinkTest, WhatWasSentBeforeAnOrderlyCloseArrives) {
  Connection connection = Connect();
  const Bytes message = Pattern(200'000, 3);
  ASSERT_TRUE(connection.device->Send(message, 0));
  ASSERT_TRUE(connection.device->Send(Bytes{42}, 0));
  connection.device->Close();
  EXPECT_FALSE(connection.device->up());
  EXPECT_FALSE(connection.device->Send(Bytes{1}, 0));
  EXPECT_TRUE(ReceiveWithin(*connection.server.link) == message);
  EXPECT_EQ(ReceiveWithin(*connection.server.link), Bytes{42});
  EXPECT_TRUE(WaitUntil([&] { return !connection.server.link->up(); }));
  const auto end = connection.server.link->Receive();
  ASSERT_FALSE(end.has_value());
  EXPECT_THAT(end.error().message, HasSubstr("closed the connection"));
}

TEST(SrtLinkTest, APeerThatClosesWhileWeSendEndsTheLinkNotTheProgram) {
  Connection connection = Connect();
  const Bytes message(300'000, 1);
  std::thread closer([&] {
    ReceiveWithin(*connection.server.link);
    connection.server.link.reset();
  });
  EXPECT_TRUE(WaitUntil([&] { return !connection.device->Send(message, kSecond); }));
  EXPECT_FALSE(connection.device->up());
  closer.join();
}

size_t OpenFiles() {
  const std::filesystem::directory_iterator files("/proc/self/fd");
  return static_cast<size_t>(std::distance(begin(files), end(files)));
}
size_t Threads() {
  const std::filesystem::directory_iterator threads("/proc/self/task");
  return static_cast<size_t>(std::distance(begin(threads), end(threads)));
}

TEST(SrtLinkTest, ReconnectingLeavesNothingBehind) {
  auto listener = ListenSrt("127.0.0.1:0", {.passphrase = kPassphrase});
  ASSERT_TRUE(listener.has_value());
  const auto connect_once = [&] {
    auto device = ConnectSrt(AddressOf(**listener), {.passphrase = kPassphrase});
    ASSERT_TRUE(device.has_value()) << device.error().message;
    auto accepted = (*listener)->Accept(5 * kSecond);
    ASSERT_TRUE(accepted && *accepted);
    ASSERT_TRUE((*device)->Send(Bytes{1}, 0));
    EXPECT_EQ(ReceiveWithin(*(*accepted)->link), Bytes{1});
  };
  connect_once();
  // SRT frees closed sockets in the background, within a few seconds.
  const size_t threads = Threads();
  const size_t files = OpenFiles();
  for (int i = 0; i < 20; ++i) connect_once();
  EXPECT_TRUE(WaitUntil([&] { return Threads() <= threads && OpenFiles() <= files; }))
      << Threads() << " threads, were " << threads << "; " << OpenFiles() << " files, were "
      << files;
}

TEST(SrtLinkTest, MessagesExpireInTheQueueWhenThePeerDoesNotRead) {
  Connection connection = Connect({.receive_queue_bytes = 1 << 20});
  Link& device = *connection.device;
  const Bytes message(1 << 20, 5);
  // Far more than the peer's inbox and SRT's receive buffer hold.
  for (int i = 0; i < 60; ++i) {
    ASSERT_TRUE(device.Send(message, kSecond / 5));
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_TRUE(WaitUntil([&] { return device.Stats().messages_expired > 10; }));
  EXPECT_TRUE(device.up());
  // What arrives is whole. Either all does, or packets that found the peer's buffers full are lost,
  // and as it does not ask for them the link ends instead of standing still.
  int received = 0;
  while (ReceiveWithin(*connection.server.link, 2 * kSecond) == message) ++received;
  EXPECT_GT(received, 0);
  const auto all = [&] { return device.Stats().unsent_bytes == 0; };
  EXPECT_TRUE(WaitUntil([&] { return !device.up() || all(); }, 15 * kSecond));
  if (device.up()) {
    EXPECT_EQ(received, device.Stats().messages_sent);
  } else {
    EXPECT_LE(received, device.Stats().messages_sent);
  }
}

TEST(SrtLinkTest, ALinkWhosePeerNeverReadsEnds) {
  Connection connection = Connect({.receive_queue_bytes = 1 << 20});
  const Bytes message(1 << 20, 5);
  Link& device = *connection.device;
  const auto send = [&] {
    (void)device.Send(message, kSecond);
    return !device.up();
  };
  EXPECT_TRUE(WaitUntil(send, 40 * kSecond));
  EXPECT_TRUE(connection.server.link->up());
}

TEST(SrtLinkTest, EmptyAndHugeMessagesAreNotSent) {
  Connection connection = Connect();
  EXPECT_FALSE(connection.device->Send({}, 0));
  EXPECT_FALSE(connection.device->Send(Bytes(kMaxMessageBytes + 1), 0));
}

// A caller that uses SRT directly.
void SendPacketToListener(int port, const Bytes& packet, std::future<void> done) {
  StartSrtLibrary();
  const SrtSocket socket;
  ASSERT_TRUE(ApplySrtOptions(socket.id(), {}));
  const auto address = ResolveAddress(fmt::format("127.0.0.1:{}", port), false);
  ASSERT_NE(
      srt_connect(socket.id(), address->front().get(), static_cast<int>(address->front().length)),
      SRT_ERROR);
  srt_sendmsg(socket.id(), reinterpret_cast<const char*>(packet.data()),
              static_cast<int>(packet.size()), -1, 1);
  done.wait();
}

TEST(SrtLinkTest, HostilePacketsEndTheLink) {
  for (const Bytes& packet : {Bytes{1, 0, 0, 1, 9}, Bytes{0xFF, 0xFF, 0xFF, 0xFF}, Bytes{7}}) {
    const auto listener = ListenSrt("127.0.0.1:0", {});
    ASSERT_TRUE(listener.has_value());
    std::promise<void> done;
    std::thread caller(SendPacketToListener, (*listener)->port(), packet, done.get_future());
    auto accepted = (*listener)->Accept(5 * kSecond);
    ASSERT_TRUE(accepted && *accepted);
    Link& link = *(*accepted)->link;
    EXPECT_TRUE(WaitUntil([&] { return !link.up(); }));
    const auto message = link.Receive();
    ASSERT_FALSE(message.has_value());
    EXPECT_THAT(message.error().message, testing::AnyOf(HasSubstr("above the limit"),
                                                        HasSubstr("without a message length")));
    done.set_value();
    caller.join();
  }
}

class PassphraseTest : public testing::Test {
 protected:
  void SetUp() override { TearDown(); }
  void TearDown() override {
    unsetenv("STAC_PASSPHRASE");
    unsetenv("STAC_PASSPHRASE_FILE");
  }
  const TestFolder folder_;
  const std::filesystem::path file_ = folder_ / "passphrase";
};

TEST_F(PassphraseTest, ComesFromFileOrVariable) {
  EXPECT_EQ(*PassphraseFromEnvironment(), "");
  setenv("STAC_PASSPHRASE", "from the variable", 1);
  EXPECT_EQ(*PassphraseFromEnvironment(), "from the variable");
  ASSERT_TRUE(WriteFile(file_, "from the file\nignored\n"));
  setenv("STAC_PASSPHRASE_FILE", file_.c_str(), 1);
  EXPECT_EQ(*PassphraseFromEnvironment(), "from the file");
}

TEST_F(PassphraseTest, BadOnesAreErrorsThatDoNotShowThem) {
  setenv("STAC_PASSPHRASE", "tooshort", 1);
  EXPECT_THAT(PassphraseFromEnvironment().error().message,
              testing::AllOf(HasSubstr("8 bytes"), Not(HasSubstr("tooshort"))));
  setenv("STAC_PASSPHRASE", std::string(80, 'x').c_str(), 1);
  EXPECT_FALSE(PassphraseFromEnvironment().has_value());
  setenv("STAC_PASSPHRASE_FILE", "/nonexistent/secret", 1);
  EXPECT_THAT(PassphraseFromEnvironment().error().message, HasSubstr("no such file"));
  ASSERT_TRUE(WriteFile(file_, "\n"));
  setenv("STAC_PASSPHRASE_FILE", file_.c_str(), 1);
  EXPECT_THAT(PassphraseFromEnvironment().error().message, HasSubstr("is empty"));
}

}  // namespace
}  // namespace stac
