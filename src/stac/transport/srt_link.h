#pragma once

#include <memory>
#include <string>

#include "stac/base/result.h"
#include "stac/transport/link.h"

namespace stac {

struct SrtOptions {
  std::string passphrase;   // 10..79 characters: AES; empty: not encrypted
  std::string stream_id;    // caller: names the device (at most 512 bytes)
  int connect_timeout_ms = 3000;
  int latency_ms = 20;
  // Encoded keyframes are few and large: keep SRT's own queue nearly empty and decide above it.
  int send_buffer_bytes = 4 << 20;
};

// The passphrase from STAC_PASSPHRASE_FILE or STAC_PASSPHRASE (never from the command line);
// empty if neither is set.
Result<std::string> PassphraseFromEnvironment();

// "host:port" (IPv4, IPv6 in brackets, or a name).
Result<std::unique_ptr<Link>> ConnectSrt(const std::string& address, const SrtOptions& options);

struct SrtPeer {
  std::unique_ptr<Link> link;
  std::string stream_id;
  std::string address;
};
class SrtListener {
 public:
  virtual ~SrtListener() = default;
  // The next caller, or nullopt after the time-out.
  virtual Result<std::optional<SrtPeer>> Accept(Micros timeout_us) = 0;
  virtual int port() const = 0;  // the one in use when 0 was asked for
};
Result<std::unique_ptr<SrtListener>> ListenSrt(const std::string& address,
                                               const SrtOptions& options);

}  // namespace stac
