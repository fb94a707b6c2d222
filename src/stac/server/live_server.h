#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "stac/segment/segmenter.h"
#include "stac/server/admission.h"
#include "stac/server/server_session.h"
#include "stac/transport/link.h"

namespace stac {

// What came of one keyframe, for the server's log: it was answered, dropped or of no use, as its
// statistics say.
struct ServedKeyframe {
  std::string device;
  ServerStats stats;
  size_t video_bytes = 0;     // of its access unit; 0: it was not answered
  size_t feedback_bytes = 0;  // sent for it
  int64_t left_out = 0;       // unanswered ones of the device before it, of which no more was told
};

struct ServerStatus {
  int devices = 0;
  int64_t keyframes = 0;
  int waiting = 0;
  double mean_processing_ms = 0;
};

struct LiveServerOptions {
  AdmissionOptions admission;
  // Passes of the network at a time, of different devices' keyframes. A single one leaves cores
  // idle wherever its work is not shared among them: docs/results.md.
  int network_threads = 2;
  // Threads that turn gradients into levels, code and send. 0: one for every four cores (beside a
  // GPU, answers are what takes longest).
  int answer_threads = 0;
  // Devices' keyframes of equal size that wait at the same time go through the network together, at
  // most so many. 1: each by itself.
  int max_batch = 1;
  // How long a keyframe may wait for others to come, from its arrival.
  double batch_wait_ms = 0;
  // Each takes three threads and its decoder's memory; beyond, newcomers are refused.
  int max_devices = 256;
};

// Serves any number of devices: one thread per device receives and decodes, some run the network
// on the keyframes of all devices in turn, and others turn gradients into levels, code and send the
// answers, so that the network waits for neither. A device's answers keep their order. It also runs
// on a blank frame before the first device with frames of a new size is welcomed, so that no
// keyframe meets a cold network; a device whose size the network cannot run at is refused. A device
// is told the keyframe rate that Admission grants it, or refused with its reason; one that says
// nothing for two minutes is sent away, as it holds what others could have. Each device has at most
// ServerOptions::max_waiting decoded keyframes waiting; beyond that its oldest is answered without
// labels.
class LiveServer {
 public:
  // Called for keyframes that were answered, dropped or of no use, for one at a time.
  using OnServed = std::function<void(const ServedKeyframe&)>;
  // Propagated labels that arrived from a device in server-consumer mode, on a thread per device.
  // `device`: its name and address, of no other at the same time; `connection`: unique.
  using OnLabels = std::function<void(const std::string& device, int64_t connection, FrameId frame,
                                      const LabelMap&)>;

  LiveServer(ServerOptions options, Profile profile, std::unique_ptr<Segmenter> segmenter,
             ServerSession::DecoderFactory decoders, OnServed on_served, OnLabels on_labels,
             const LiveServerOptions& live = {});
  ~LiveServer();

  // Takes over a new peer; returns at once. Who is refused, as everybody is once Drain was called,
  // is told why.
  void Add(std::unique_ptr<Link> link, const std::string& peer);
  // Stops taking in keyframes, answers those that wait, says goodbye. Waits for the threads.
  void Drain();
  // Waits for no device.
  ServerStatus Status() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace stac
