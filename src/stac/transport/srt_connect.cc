#include <netinet/in.h>

#include <chrono>
#include <thread>
#include <utility>

#include "stac/transport/srt_socket_internal.h"

namespace stac {
namespace {

// Why a connection attempt with this socket failed.
std::string ConnectError(SRTSOCKET socket, const std::string& address, const SrtOptions& options) {
  const int reason = srt_getrejectreason(socket);
  switch (reason) {
    case SRT_REJ_BADSECRET:
      return fmt::format("{} refuses the connection: the passphrase differs from the server's",
                         address);
    case SRT_REJ_UNSECURE:
      return options.passphrase.empty()
                 ? fmt::format("{} demands a passphrase; set STAC_PASSPHRASE_FILE", address)
                 : fmt::format("{} has no passphrase but this side has; set the same on both",
                               address);
    case SRT_REJ_TIMEOUT:
      return fmt::format(
          "no answer from {} within {} ms; check the address, that the server runs and that its "
          "UDP port is open",
          address, options.connect_timeout_ms);
    default:
      return fmt::format("{} refuses the connection: {}", address, srt_rejectreason_str(reason));
  }
}

// SRT's own time-out ends it, or the caller. A socket that is broken without a reason is not known
// to have failed: for a moment it looks so while it gets connected, and for good where the other
// side has closed it since, of which its link will tell.
Status Connect(SRTSOCKET socket, const SocketAddress& to, const std::string& address,
               const SrtOptions& options) {
  STAC_RETURN_IF_ERROR(SetSrtFlag(socket, SRTO_RCVSYN, "non-blocking connecting", false));
  if (srt_connect(socket, to.get(), static_cast<int>(to.length)) == SRT_ERROR) {
    return Fail("cannot connect to {}: {}", address, LastSrtError());
  }
  constexpr int kLooks = 20;
  for (int broken = 0; broken < kLooks;) {
    const SRT_SOCKSTATUS state = srt_getsockstate(socket);
    if (state == SRTS_CONNECTED) break;
    if (state != SRTS_CONNECTING) {
      if (srt_getrejectreason(socket) != SRT_REJ_UNKNOWN) {
        return Fail("{}", ConnectError(socket, address, options));
      }
      ++broken;
    }
    if (options.stop != nullptr && *options.stop) {
      return Fail("interrupted while {} was called", address);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return OkStatus();
}

class Listener final : public SrtListener {
 public:
  Listener(SrtSocket socket, int port, SrtOptions options)
      : socket_(std::move(socket)), port_(port), options_(std::move(options)) {}
  ~Listener() override { srt_epoll_release(epoll_); }

  Status StartWaiting() {
    const int events = SRT_EPOLL_IN | SRT_EPOLL_ERR;
    if (epoll_ < 0 || srt_epoll_add_usock(epoll_, socket_.id(), &events) == SRT_ERROR) {
      return Fail("cannot wait for callers: {}", LastSrtError());
    }
    return OkStatus();
  }

  Result<std::optional<SrtPeer>> Accept(Micros timeout_us) override {
    SRT_EPOLL_EVENT event;
    const int count = srt_epoll_uwait(epoll_, &event, 1, (timeout_us + 999) / 1000);
    if (count == SRT_ERROR) return Fail("cannot wait for callers: {}", LastSrtError());
    if (count == 0) return std::nullopt;
    sockaddr_storage storage{};
    int length = sizeof(storage);
    const SRTSOCKET accepted =
        srt_accept(socket_.id(), reinterpret_cast<sockaddr*>(&storage), &length);
    if (accepted == SRT_INVALID_SOCK) {
      if (srt_getlasterror(nullptr) == SRT_EASYNCRCV) return std::nullopt;  // the caller gave up
      return Fail("cannot accept callers: {}", LastSrtError());
    }
    SrtPeer peer;
    peer.address = NumericAddress(storage, static_cast<socklen_t>(length));
    char stream_id[513];
    int stream_id_length = sizeof(stream_id);
    if (srt_getsockflag(accepted, SRTO_STREAMID, stream_id, &stream_id_length) != SRT_ERROR) {
      peer.stream_id.assign(stream_id, static_cast<size_t>(stream_id_length));
    }
    peer.link = MakeSrtLink(SrtSocket(accepted), peer.address, options_);
    return peer;
  }

  int port() const override { return port_; }

 private:
  SrtSocket socket_;
  int port_;
  SrtOptions options_;
  int epoll_ = srt_epoll_create();
};

}  // namespace

Result<std::unique_ptr<Link>> ConnectSrt(const std::string& address, const SrtOptions& options) {
  StartSrtLibrary();
  STAC_ASSIGN_OR_RETURN(const auto candidates, ResolveAddress(address, false));
  Status status;
  for (const SocketAddress& candidate : candidates) {
    SrtSocket socket;
    STAC_RETURN_IF_ERROR(ApplySrtOptions(socket.id(), options));
    status = Connect(socket.id(), candidate, address, options);
    if (status) return MakeSrtLink(std::move(socket), address, options);
    if (options.stop != nullptr && *options.stop) break;
  }
  return tl::unexpected<Error>(status.error());
}

Result<std::unique_ptr<SrtListener>> ListenSrt(const std::string& address,
                                               const SrtOptions& options) {
  StartSrtLibrary();
  STAC_ASSIGN_OR_RETURN(const auto candidates, ResolveAddress(address, true));
  const SocketAddress& local = candidates.front();
  SrtSocket socket;
  STAC_RETURN_IF_ERROR(ApplySrtOptions(socket.id(), options));
  STAC_RETURN_IF_ERROR(SetSrtFlag(socket.id(), SRTO_RCVSYN, "non-blocking acceptance", false));
  if (local.storage.ss_family == AF_INET6) {
    STAC_RETURN_IF_ERROR(SetSrtFlag(socket.id(), SRTO_IPV6ONLY, "dual-stack listening", int{0}));
  }
  if (srt_bind(socket.id(), local.get(), static_cast<int>(local.length)) == SRT_ERROR ||
      srt_listen(socket.id(), 16) == SRT_ERROR) {
    return Fail("cannot listen on {}: {}; is the UDP port in use by another program?", address,
                LastSrtError());
  }
  sockaddr_storage bound{};
  int length = sizeof(bound);
  srt_getsockname(socket.id(), reinterpret_cast<sockaddr*>(&bound), &length);
  const int port =
      ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(bound).sin6_port
                                        : reinterpret_cast<const sockaddr_in&>(bound).sin_port);
  auto listener = std::make_unique<Listener>(std::move(socket), port, options);
  STAC_RETURN_IF_ERROR(listener->StartWaiting());
  return listener;
}

}  // namespace stac
