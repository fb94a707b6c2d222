#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "stac/base/result.h"
#include "stac/transport/link.h"

namespace stac {

// Links over SRT (UDP, retransmission, AES) in its live mode without play-out delay and without
// dropping. Messages are cut into packets here (fragments.h), because SRT's file mode, which does
// it by itself, brings a congestion control that collapses on lossy links: at 1 % loss it carried
// 160 kb/s over a link of 5 Mb/s. Here a BandwidthEstimator watches the acknowledgements and sets
// the pace and the bytes in flight (send_pacer.h).
//
// Threads and queues of one link. A sending thread takes messages from our send queue one by one
// and gives SRT only what should be in flight: what waits can still be dropped whole, by the rules
// of SendQueue; a message whose first packet has gone is always completed. A receiving thread puts
// messages together into an inbox; a full inbox leaves the rest to SRT's receive buffer (8192
// packets). When that is full too, SRT may drop what comes and never ask for it again: the sender's
// link ends when ten seconds have brought nothing through. All functions of a link may be called
// from any thread.
struct SrtOptions {
  std::string passphrase;  // 10..79 characters: AES; empty: not encrypted
  std::string stream_id;   // caller: names the device (at most 512 bytes)
  int connect_timeout_ms = 3000;
  const std::atomic<bool>* stop = nullptr;  // caller: gives up calling once it is set; borrowed
  int peer_idle_timeout_ms = 5000;          // silence after which the link counts as broken
  // Bound of our own send queue.
  size_t send_queue_bytes = 4u << 20;
  // Bound of the memory that received messages wait in.
  size_t receive_queue_bytes = 32u << 20;
};

// The passphrase from the file named by STAC_PASSPHRASE_FILE (its first line), or from
// STAC_PASSPHRASE (never from the command line); empty if neither is set. Fails if the file cannot
// be read or the passphrase does not have 10..79 bytes. It never appears in a message.
Result<std::string> PassphraseFromEnvironment();

// "host:port" (IPv4, IPv6 in brackets, or a name). Blocks for at most the connection timeout per
// address of the name. Errors tell a wrong passphrase, a missing host and a silent one apart.
Result<std::unique_ptr<Link>> ConnectSrt(const std::string& address, const SrtOptions& options);

struct SrtPeer {
  std::unique_ptr<Link> link;
  std::string stream_id;  // as sent by the caller: untrusted
  std::string address;    // "host:port", numeric
};
// Not thread-safe; accepted links live on when the listener is destroyed.
class SrtListener {
 public:
  virtual ~SrtListener() = default;
  // The next caller, or nullopt after the time-out.
  virtual Result<std::optional<SrtPeer>> Accept(Micros timeout_us) = 0;
  virtual int port() const = 0;  // the one in use when 0 was asked for
};
// address: "host:port"; an empty host means all IPv4 addresses, port 0 any free port.
// Callers with another passphrase, or without one, are refused.
Result<std::unique_ptr<SrtListener>> ListenSrt(const std::string& address,
                                               const SrtOptions& options);

}  // namespace stac
