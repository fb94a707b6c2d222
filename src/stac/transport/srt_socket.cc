#include <netdb.h>
#include <syslog.h>

#include <cstring>

#include "stac/base/log.h"
#include "stac/transport/srt_socket_internal.h"

namespace stac {
namespace {

void LogSrtLine(void*, int /*level*/, const char* /*file*/, int /*line*/, const char* area,
                const char* message) {
  spdlog::debug("SRT {}: {}", area, message);
}

struct SrtLibrary {
  SrtLibrary() {
    spdlog::default_logger_raw();  // constructed before, so destroyed after
    srt_startup();
    srt_setlogflags(SRT_LOGF_DISABLE_TIME | SRT_LOGF_DISABLE_THREADNAME |
                    SRT_LOGF_DISABLE_SEVERITY | SRT_LOGF_DISABLE_EOL);
    srt_setloghandler(nullptr, &LogSrtLine);
    srt_setloglevel(LOG_ERR);
  }
  ~SrtLibrary() {
    srt_setloghandler(nullptr, nullptr);
    srt_cleanup();
  }
};

struct HostAndPort {
  std::string host;
  std::string port;
};

Result<HostAndPort> SplitAddress(const std::string& address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos) {
    return Fail("'{}' has no port; write host:port, for example 192.0.2.1:9000", address);
  }
  HostAndPort parts{address.substr(0, colon), address.substr(colon + 1)};
  if (parts.port.empty() || parts.port.size() > 5 ||
      parts.port.find_first_not_of("0123456789") != std::string::npos ||
      std::stoi(parts.port) > 65535) {
    return Fail("'{}' in '{}' is not a port; it must be a number within 0..65535", parts.port,
                address);
  }
  if (parts.host.size() >= 2 && parts.host.front() == '[' && parts.host.back() == ']') {
    parts.host = parts.host.substr(1, parts.host.size() - 2);
  } else if (parts.host.find(':') != std::string::npos) {
    return Fail("write the IPv6 address in '{}' in brackets: [address]:port", address);
  }
  return parts;
}

}  // namespace

void StartSrtLibrary() { static const SrtLibrary library; }

std::string LastSrtError() { return srt_getlasterror_str(); }

Status ApplySrtOptions(SRTSOCKET socket, const SrtOptions& options) {
  if (!options.passphrase.empty() &&
      (options.passphrase.size() < 10 || options.passphrase.size() > 79)) {
    return Fail("the passphrase has {} bytes; it must have 10 to 79", options.passphrase.size());
  }
  if (options.stream_id.size() > 512) {
    return Fail("the stream id has {} bytes; at most 512 are allowed", options.stream_id.size());
  }
  // Live mode, but everything arrives and is handed over at once.
  STAC_RETURN_IF_ERROR(SetSrtFlag(socket, SRTO_TRANSTYPE, "live mode", SRTT_LIVE));
  STAC_RETURN_IF_ERROR(SetSrtFlag(socket, SRTO_TSBPDMODE, "no play-out delay", false));
  STAC_RETURN_IF_ERROR(SetSrtFlag(socket, SRTO_TLPKTDROP, "no dropping", false));
  // Without them SRT sends all that is in flight again whenever nothing was acknowledged for some
  // 30 ms, in which a slow link does not even pass a packet, and fills it with repeats. With them
  // nobody notices that a last packet was lost: SrtLink sends another one after it.
  STAC_RETURN_IF_ERROR(SetSrtFlag(socket, SRTO_NAKREPORT, "periodic loss reports", true));
  STAC_RETURN_IF_ERROR(SetSrtFlag(socket, SRTO_PAYLOADSIZE, "the packet size", int{kPacketBytes}));
  STAC_RETURN_IF_ERROR(
      SetSrtFlag(socket, SRTO_CONNTIMEO, "the connection timeout", options.connect_timeout_ms));
  STAC_RETURN_IF_ERROR(
      SetSrtFlag(socket, SRTO_PEERIDLETIMEO, "the idle timeout", options.peer_idle_timeout_ms));
  if (!options.passphrase.empty() &&
      srt_setsockflag(socket, SRTO_PASSPHRASE, options.passphrase.data(),
                      static_cast<int>(options.passphrase.size())) == SRT_ERROR) {
    return Fail("SRT refuses the passphrase: {}", LastSrtError());
  }
  if (!options.stream_id.empty() &&
      srt_setsockflag(socket, SRTO_STREAMID, options.stream_id.data(),
                      static_cast<int>(options.stream_id.size())) == SRT_ERROR) {
    return Fail("SRT refuses the stream id: {}", LastSrtError());
  }
  return OkStatus();
}

Result<std::vector<SocketAddress>> ResolveAddress(const std::string& address, bool passive) {
  STAC_ASSIGN_OR_RETURN(const HostAndPort parts, SplitAddress(address));
  if (parts.host.empty() && !passive) {
    return Fail("'{}' has no host; write host:port, for example 192.0.2.1:9000", address);
  }
  addrinfo hints{};
  hints.ai_family = parts.host.empty() ? AF_INET : AF_UNSPEC;
  hints.ai_socktype = SOCK_DGRAM;
  hints.ai_flags = AI_NUMERICSERV | (passive ? AI_PASSIVE : 0);
  addrinfo* found = nullptr;
  const int error = getaddrinfo(parts.host.empty() ? nullptr : parts.host.c_str(),
                                parts.port.c_str(), &hints, &found);
  if (error != 0) {
    return Fail("cannot find the host '{}': {}; check the name", parts.host, gai_strerror(error));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, &freeaddrinfo);
  std::vector<SocketAddress> addresses;
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    SocketAddress& added = addresses.emplace_back();
    added.length = entry->ai_addrlen;
    std::memcpy(&added.storage, entry->ai_addr, entry->ai_addrlen);
  }
  return addresses;
}

std::string NumericAddress(const sockaddr_storage& storage, socklen_t length) {
  char host[NI_MAXHOST];
  char port[NI_MAXSERV];
  if (getnameinfo(reinterpret_cast<const sockaddr*>(&storage), length, host, sizeof(host), port,
                  sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return "an unknown address";
  }
  return storage.ss_family == AF_INET6 ? fmt::format("[{}]:{}", host, port)
                                       : fmt::format("{}:{}", host, port);
}

}  // namespace stac
