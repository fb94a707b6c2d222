#include "stac/adapt/bandwidth_estimator.h"

#include <gtest/gtest.h>

#include <deque>
#include <functional>

namespace stac {
namespace {

constexpr Micros kMs = 1000;

// A bottleneck stepped in milliseconds, with acknowledgements every 10 ms after a round trip.
class Bench {
 public:
  explicit Bench(int round_trip_ms) : round_trip_ms_(round_trip_ms) {}

  // Runs for `ms` at `kbps`; every millisecond `to_send` says how many bytes to hand over.
  void Run(int ms, double kbps, const std::function<int64_t(int)>& to_send) {
    for (const int end = now_ms_ + ms; now_ms_ < end; ++now_ms_) {
      sent_ += to_send(now_ms_);
      estimator_.OnSent(now_ms_ * kMs, sent_);
      credit_ = std::min(static_cast<double>(sent_ - served_), credit_ + kbps / 8);
      served_ += static_cast<int64_t>(credit_);
      credit_ -= static_cast<double>(static_cast<int64_t>(credit_));
      history_.push_back(served_);
      if (static_cast<int>(history_.size()) > round_trip_ms_) {
        if (now_ms_ % 10 == 0) {
          estimator_.OnAcknowledged(now_ms_ * kMs, history_.front(), round_trip_ms_ * kMs);
        }
        history_.pop_front();
      }
    }
  }
  double Kbps() const { return estimator_.Kbps(now_ms_ * kMs); }
  int64_t Backlog() const { return sent_ - served_; }

 private:
  int round_trip_ms_;
  int now_ms_ = 0;
  BandwidthEstimator estimator_;
  int64_t sent_ = 0;
  int64_t served_ = 0;
  double credit_ = 0;
  std::deque<int64_t> history_;
};

// A frame of `bytes` every `interval` milliseconds.
std::function<int64_t(int)> Frames(int64_t bytes, int interval) {
  return [=](int ms) { return ms % interval == 0 ? bytes : 0; };
}
const auto kNothing = [](int) -> int64_t { return 0; };

TEST(BandwidthEstimatorTest, KnowsNothingAtFirst) {
  BandwidthEstimator estimator;
  EXPECT_EQ(estimator.Kbps(0), 0);
  estimator.OnSent(0, 1000);
  EXPECT_EQ(estimator.Kbps(1000), 0);
}

TEST(BandwidthEstimatorTest, TheFirstAcknowledgementIsALowerBound) {
  BandwidthEstimator estimator;
  estimator.OnSent(0, 1000);
  estimator.OnAcknowledged(40 * kMs, 1000, 40 * kMs);
  EXPECT_DOUBLE_EQ(estimator.Kbps(40 * kMs), 200);  // 8000 bits in 40 ms
}

// On a short path nothing is ever found busy, and pictures of a few packets are no bursts: what
// began with a late acknowledgement must not stay so.
TEST(BandwidthEstimatorTest, AGreetingDoesNotSayHowFastALinkIs) {
  BandwidthEstimator estimator;
  estimator.OnSent(0, 50);
  estimator.OnAcknowledged(20 * kMs, 50, 1 * kMs);
  EXPECT_EQ(estimator.Kbps(20 * kMs), 0);
  int64_t sent = 50;
  Micros now = 200 * kMs;
  estimator.OnSent(now, sent += 1400);
  estimator.OnAcknowledged(now += 560 * kMs, sent, 1 * kMs);  // the server was late
  EXPECT_DOUBLE_EQ(estimator.Kbps(now), 20);
  for (int second = 0; second < 12; ++second) {
    const double before = estimator.Kbps(now);
    const int64_t start = sent;
    for (int i = 0; i < 5; ++i, now += 200 * kMs) {
      estimator.OnSent(now, sent += static_cast<int64_t>(0.65 * before * 125 / 5));
      estimator.OnAcknowledged(now + 10 * kMs, sent, 1 * kMs);
      if (static_cast<double>(sent - start) > 4000) return;  // a burst: a lower bound by itself
    }
    EXPECT_GE(estimator.Kbps(now), 1.2 * before);
    const double passed = static_cast<double>(sent - start) * 8 / 1000;
    EXPECT_LE(estimator.Kbps(now), 2 / 0.4 * passed);
  }
  FAIL() << estimator.Kbps(now);
}

TEST(BandwidthEstimatorTest, ASinglePacketThatPassesAtOnceProvesNothing) {
  BandwidthEstimator estimator;
  estimator.OnSent(0, 10'000);
  estimator.OnAcknowledged(200 * kMs, 10'000, 1 * kMs);  // 400 kb/s
  estimator.OnSent(1000 * kMs, 11'400);
  estimator.OnAcknowledged(1002 * kMs, 11'400, 1 * kMs);  // 5600 kb/s, if it counted
  EXPECT_DOUBLE_EQ(estimator.Kbps(1002 * kMs), 400);
  estimator.OnSent(2000 * kMs, 16'400);
  estimator.OnAcknowledged(2050 * kMs, 16'400, 1 * kMs);  // several packets do: 800 kb/s
  EXPECT_DOUBLE_EQ(estimator.Kbps(2050 * kMs), 800);
}

TEST(BandwidthEstimatorTest, BusyTimeBetweenAcknowledgementsIsAMeasurement) {
  BandwidthEstimator estimator;
  estimator.OnSent(0, 100'000);
  estimator.OnAcknowledged(60 * kMs, 20'000, 40 * kMs);
  estimator.OnAcknowledged(80 * kMs, 40'000, 40 * kMs);   // 8000 kb/s
  estimator.OnAcknowledged(120 * kMs, 60'000, 40 * kMs);  // 4000 kb/s
  // Harmonic mean: 40,000 bytes in 60 ms.
  EXPECT_NEAR(estimator.Kbps(120 * kMs), 40'000 * 8 / 60.0, 1e-9);
}

TEST(BandwidthEstimatorTest, WithdrawnBytesAreNotWaitedFor) {
  BandwidthEstimator estimator;
  estimator.OnSent(0, 1000);
  estimator.OnSent(1 * kMs, 3000);
  estimator.OnAcknowledged(40 * kMs, 1000, 40 * kMs);
  EXPECT_LT(estimator.Kbps(5000 * kMs), 100);  // 200, decayed: 2000 bytes are missing
  estimator.OnWithdrawn(500);
  EXPECT_LT(estimator.Kbps(5000 * kMs), 100);
  estimator.OnWithdrawn(1500);
  EXPECT_DOUBLE_EQ(estimator.Kbps(5000 * kMs), 200);
}

TEST(BandwidthEstimatorTest, BurstsThatFillAPartOfTheTimeShowTheWholeBandwidth) {
  // 25 kB at 5 Mb/s take 40 of every 200 ms: the sender uses 1 Mb/s.
  Bench bench(30);
  bench.Run(3000, 5000, Frames(25'000, 200));
  EXPECT_NEAR(bench.Kbps(), 5000, 500);
}

TEST(BandwidthEstimatorTest, ConvergesWithinTwoSecondsAfterAStep) {
  Bench bench(30);
  bench.Run(5000, 8000, Frames(60'000, 100));
  EXPECT_NEAR(bench.Kbps(), 8000, 800);
  bench.Run(2000, 2000, Frames(20'000, 100));  // the sender has adapted
  EXPECT_NEAR(bench.Kbps(), 2000, 200);
  bench.Run(2000, 6000, Frames(20'000, 100));
  EXPECT_NEAR(bench.Kbps(), 6000, 600);
}

TEST(BandwidthEstimatorTest, AnOverloadedLinkIsMeasuredToo) {
  Bench bench(30);
  bench.Run(3000, 3000, Frames(60'000, 100));  // offered 4.8 Mb/s
  EXPECT_NEAR(bench.Kbps(), 3000, 150);
}

TEST(BandwidthEstimatorTest, IdleAndSparseSendersKeepTheEstimate) {
  Bench bench(30);
  bench.Run(3000, 5000, Frames(40'000, 100));
  const double before = bench.Kbps();
  bench.Run(20'000, 5000, kNothing);
  EXPECT_DOUBLE_EQ(bench.Kbps(), before);
  bench.Run(20'000, 5000, Frames(500, 100));  // 40 kb/s
  EXPECT_NEAR(bench.Kbps(), before, 0.02 * before);
}

TEST(BandwidthEstimatorTest, WhoUsesTheEstimateAndNeverFindsTheLinkBusyIsToldMore) {
  BandwidthEstimator estimator;
  estimator.OnSent(0, 1500);
  estimator.OnAcknowledged(40 * kMs, 250, 30 * kMs);
  estimator.OnAcknowledged(140 * kMs, 750, 30 * kMs);
  estimator.OnAcknowledged(240 * kMs, 1250, 30 * kMs);
  EXPECT_DOUBLE_EQ(estimator.Kbps(240 * kMs), 1000 * 8 / 200.0);  // 40 kb/s
  estimator.OnAcknowledged(300 * kMs, 1500, 30 * kMs);
  // A frame in one packet every 100 ms, through long before the next.
  int64_t sent = 1500;
  Micros now = 400 * kMs;
  const auto stream = [&](int seconds, double share) {
    for (const Micros end = now + seconds * 1000 * kMs; now < end; now += 100 * kMs) {
      sent += static_cast<int64_t>(share * estimator.Kbps(now) / 8 * 100);
      estimator.OnSent(now, sent);
      estimator.OnAcknowledged(now + 40 * kMs, sent, 30 * kMs);
    }
  };
  stream(2, 0.3);
  const double before = estimator.Kbps(now);
  stream(5, 0.3);  // a camera that sees little
  EXPECT_DOUBLE_EQ(estimator.Kbps(now), before);
  stream(6, 0.6);
  EXPECT_GT(estimator.Kbps(now), 2 * before);
  // The link is found busy: what is measured counts, and only that.
  for (int i = 0; i < 14; ++i, now += 100 * kMs) {
    estimator.OnSent(now, sent += 5000);
    if (i > 2) estimator.OnAcknowledged(now, sent - 12'500, 30 * kMs);
  }
  EXPECT_NEAR(estimator.Kbps(now), 5000 * 8 / 100.0, 80);
}

// An hour and more of a link that passes on everything at once.
TEST(BandwidthEstimatorTest, ALinkThatIsNeverBusyKeepsANumber) {
  BandwidthEstimator estimator;
  int64_t bytes = 0;
  for (int second = 1; second <= 4000; ++second) {
    bytes += 100'000;
    estimator.OnSent(second * 1000 * kMs, bytes);
    estimator.OnAcknowledged(second * 1000 * kMs + kMs, bytes, kMs);
  }
  const double kbps = estimator.Kbps(4000 * 1000 * kMs);
  EXPECT_GT(kbps, 0);
  EXPECT_LT(kbps, 1e9);
}

TEST(BandwidthEstimatorTest, AnOutageDecaysAndIsOverWithinTwoSeconds) {
  Bench bench(30);
  bench.Run(3000, 5000, Frames(40'000, 100));
  bench.Run(1000, 0, Frames(5'000, 1000));
  EXPECT_LT(bench.Kbps(), 3000);
  bench.Run(9000, 0, kNothing);
  EXPECT_LT(bench.Kbps(), 600);
  bench.Run(2000, 5000, Frames(20'000, 100));
  EXPECT_NEAR(bench.Kbps(), 5000, 750);
}

}  // namespace
}  // namespace stac
