#pragma once

#include <srt/srt.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <vector>

#include "stac/transport/srt_link.h"

// What the SRT link and the listener share.

namespace stac {

inline constexpr int kPacketBytes = SRT_LIVE_MAX_PLSIZE;

// Starts the library on first use, with its log lines going to ours at debug level; the library is
// shut down when the program ends.
void StartSrtLibrary();

// Owns an SRT socket.
class SrtSocket {
 public:
  SrtSocket() : id_(srt_create_socket()) {}
  explicit SrtSocket(SRTSOCKET id) : id_(id) {}
  SrtSocket(SrtSocket&& other) noexcept : id_(other.Release()) {}
  SrtSocket& operator=(SrtSocket&&) = delete;
  ~SrtSocket() {
    if (id_ != SRT_INVALID_SOCK) srt_close(id_);
  }
  SRTSOCKET id() const { return id_; }
  SRTSOCKET Release() {
    const SRTSOCKET id = id_;
    id_ = SRT_INVALID_SOCK;
    return id;
  }

 private:
  SRTSOCKET id_;
};

// What the last failed SRT call of this thread complained about.
std::string LastSrtError();

// Options that must be set before binding or connecting. Checks the options themselves too.
Status ApplySrtOptions(SRTSOCKET socket, const SrtOptions& options);

// Fails with the option's name.
template <typename T>
Status SetSrtFlag(SRTSOCKET socket, SRT_SOCKOPT option, const char* name, const T& value) {
  if (srt_setsockflag(socket, option, &value, sizeof(value)) == SRT_ERROR) {
    return Fail("SRT refuses {}: {}", name, LastSrtError());
  }
  return OkStatus();
}

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};
// Looks up "host:port"; never empty on success. `passive`: for binding (an empty host is allowed).
Result<std::vector<SocketAddress>> ResolveAddress(const std::string& address, bool passive);
std::string NumericAddress(const sockaddr_storage& storage, socklen_t length);

// A link over a connected socket; `peer` names the other side in messages.
std::unique_ptr<Link> MakeSrtLink(SrtSocket socket, std::string peer, const SrtOptions& options);

}  // namespace stac
