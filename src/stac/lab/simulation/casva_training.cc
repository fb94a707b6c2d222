#include "stac/lab/simulation/casva_training.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <random>
#include <tuple>

namespace stac {
namespace {

constexpr int kHidden = 64;
constexpr double kMaxNorm = 1;

using Configuration3 = std::tuple<double, double, double>;
Configuration3 Key(const ControlDecision& c) { return {c.base_qp, c.keyframe_fps, c.scale}; }

// One second of a clip with every action.
struct Second {
  double c = 0, d = 0;
  std::vector<double> accuracy, kbps;  // by action
};

struct World {
  std::vector<ControlDecision> actions;
  std::vector<std::vector<Second>> clips;
};

Result<World> MakeWorld(const std::vector<SegmentRow>& rows) {
  std::map<std::string, std::map<int, std::map<Configuration3, const SegmentRow*>>> table;
  std::map<Configuration3, size_t> seen;
  size_t seconds = 0;
  for (const SegmentRow& row : rows) {
    if (row.segment == 0) continue;
    auto& second = table[row.clip][row.segment];
    seconds += second.empty() ? 1 : 0;
    if (second.emplace(Key(row.configuration), &row).second) ++seen[Key(row.configuration)];
  }
  World world;
  for (const auto& [key, count] : seen) {
    if (count < seconds) continue;
    world.actions.push_back({std::get<0>(key), std::get<1>(key), std::get<2>(key)});
  }
  if (world.actions.empty()) {
    return Fail("no configuration was measured in every second after the first of all clips");
  }
  for (const auto& [name, clip] : table) {
    auto& out = world.clips.emplace_back();
    for (const auto& [segment, configurations] : clip) {
      Second& second = out.emplace_back();
      for (const ControlDecision& action : world.actions) {
        const SegmentRow& row = *configurations.at(Key(action));
        second.c = row.c;
        second.d = row.d;
        second.accuracy.push_back(row.accuracy);
        second.kbps.push_back(KbpsOf(row, SegmentBits::kUplink));
      }
    }
  }
  return world;
}

struct Moment {
  CasvaPolicy::State state;
  size_t action = 0;
  double reward = 0;
  double baseline = 0;  // of the second, whatever is done: makes seconds comparable
};

class Trainer {
 public:
  Trainer(World world, const std::vector<Trace>& traces, const CasvaTrainingOptions& options)
      : world_(std::move(world)),
        traces_(traces),
        options_(options),
        random_(options.seed),
        policy_(world_.actions, DenseNetwork({CasvaPolicy::kInputs, kHidden, kHidden,
                                              static_cast<int>(world_.actions.size())},
                                             options.seed)),
        critic_({CasvaPolicy::kInputs, kHidden, kHidden, 1}, options.seed + 1) {}

  // One episode and one step of learning; the mean reward per second.
  double Episode(double progress) {
    const std::vector<Moment> episode = Play();
    const double rate = options_.rate * (1 - 0.9 * progress);
    Learn(episode, options_.entropy * (1 - progress));
    policy_.actor().Step(rate, kMaxNorm);
    critic_.Step(2 * rate, kMaxNorm);
    double sum = 0;
    for (const Moment& moment : episode) sum += moment.reward;
    return sum / static_cast<double>(episode.size());
  }
  CasvaPolicy Take() { return std::move(policy_); }

 private:
  double Uniform() { return static_cast<double>(random_() >> 11) * 0x1p-53; }
  size_t Below(size_t count) { return static_cast<size_t>(Uniform() * static_cast<double>(count)); }

  size_t Draw(const std::vector<double>& probabilities) {
    double left = Uniform();
    for (size_t i = 0; i + 1 < probabilities.size(); ++i) {
      if ((left -= probabilities[i]) < 0) return i;
    }
    return probabilities.size() - 1;
  }

  std::vector<Moment> Play() {
    const auto& clip = world_.clips[Below(world_.clips.size())];
    const Trace& trace = traces_[Below(traces_.size())];
    const double start = std::floor(Uniform() * trace.duration_s);
    const size_t round = std::max<size_t>(1, 2 * (clip.size() - 1));  // forwards and backwards
    size_t place = Below(round);
    size_t last = Below(world_.actions.size());
    double last_kbps = clip[std::min(place, round - place)].kbps[last];
    double backlog = 0;
    CasvaObserver observer;
    std::vector<Moment> episode;
    for (int t = 0; t < options_.episode_seconds; ++t, ++place) {
      const size_t at = place % round;
      const Second& second = clip[at < clip.size() ? at : round - at];
      const double bandwidth = std::max(KbpsAt(trace, start + t), 1.0);
      const ControlDecision& before = world_.actions[last];
      Moment moment;
      moment.state = observer.Observe({.last_kbps = last_kbps,
                                       .bandwidth_kbps = bandwidth,
                                       .last_base_qp = before.base_qp,
                                       .last_keyframe_fps = before.keyframe_fps,
                                       .last_scale = before.scale,
                                       .c = second.c,
                                       .d = second.d});
      last = moment.action = Draw(policy_.Probabilities(moment.state));
      last_kbps = second.kbps[last];
      backlog = std::max(0.0, backlog + last_kbps - bandwidth);
      moment.reward =
          second.accuracy[last] - options_.overshoot_weight * std::min(1.0, backlog / bandwidth);
      backlog = std::min(backlog, bandwidth);  // what is older is dropped
      moment.baseline = *std::max_element(second.accuracy.begin(), second.accuracy.end());
      episode.push_back(moment);
    }
    return episode;
  }

  void Learn(const std::vector<Moment>& episode, double entropy_weight) {
    // Rewards of hundredths of accuracy are brought to about unit size.
    constexpr double kRewardScale = 10;
    const double share = 1.0 / static_cast<double>(episode.size());
    double to_come = 0;
    for (size_t t = episode.size(); t-- > 0;) {
      const Moment& moment = episode[t];
      to_come = kRewardScale * (moment.reward - moment.baseline) + options_.discount * to_come;
      const double value = critic_.Evaluate(moment.state)[0];
      const double advantage = to_come - value;
      critic_.AddGradient(moment.state, std::vector<double>{-advantage * share});
      // d/d logits of -(advantage log p[action] + entropy_weight * entropy).
      const std::vector<double> p = policy_.Probabilities(moment.state);
      double entropy = 0;
      for (const double q : p) entropy -= q * std::log(std::max(q, 1e-12));
      std::vector<double> d_logits(p.size());
      for (size_t i = 0; i < p.size(); ++i) {
        d_logits[i] = advantage * (p[i] - (i == moment.action ? 1 : 0));
        d_logits[i] += entropy_weight * p[i] * (std::log(std::max(p[i], 1e-12)) + entropy);
        d_logits[i] *= share;
      }
      policy_.actor().AddGradient(moment.state, d_logits);
    }
  }

  World world_;
  const std::vector<Trace>& traces_;
  CasvaTrainingOptions options_;
  std::mt19937_64 random_;
  CasvaPolicy policy_;
  DenseNetwork critic_;
};

}  // namespace

Result<CasvaPolicy> TrainCasva(const std::vector<SegmentRow>& rows,
                               const std::vector<Trace>& traces,
                               const CasvaTrainingOptions& options, CasvaTrainingReport* report,
                               const std::function<void(int)>& progress,
                               const std::atomic<bool>& stop) {
  if (traces.empty()) return Fail("there are no traces to train with");
  STAC_ASSIGN_OR_RETURN(World world, MakeWorld(rows));
  Trainer trainer(std::move(world), traces, options);
  const int tenth = std::max(1, options.episodes / 10);
  double first = 0, last = 0;
  for (int episode = 0; episode < options.episodes; ++episode) {
    if (stop) return Fail("interrupted after {} of {} episodes", episode, options.episodes);
    const double reward = trainer.Episode(static_cast<double>(episode) / options.episodes);
    if (episode < tenth) first += reward / tenth;
    if (episode >= options.episodes - tenth) last += reward / tenth;
    if (progress) progress(episode + 1);
  }
  if (report != nullptr) *report = {first, last};
  return trainer.Take();
}

}  // namespace stac
