// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackctl/client.hpp"

#include <array>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace client_program {
namespace {

using json = nlohmann::ordered_json;

// Longer than the daemon waits for the hardware and the guest.
constexpr timeval patience{150, 0};
// No list is as long: 64 functions of a host take 32 KiB.
constexpr std::size_t longest_answer = std::size_t{16} * 1024 * 1024;

/// Owns the socket.
class connection {
public:
  connection() : number_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {}
  connection(const connection&) = delete;
  connection& operator=(const connection&) = delete;
  ~connection() { ::close(number_); }
  [[nodiscard]] int get() const { return number_; }

private:
  int number_;
};

pci::result<void> connect(const connection& to, const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return pci::fail(ENAMETOOLONG, fmt::format("{} is longer than the {} bytes of a socket's address", path,
                                               sizeof address.sun_path - 1));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  ::setsockopt(to.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (::connect(to.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    return {};
  }
  const auto error = errno;
  if (error == EACCES) {
    return pci::fail(error, fmt::format("only root may use {}; use sudo", path));
  }
  return pci::fail(error, fmt::format("no daemon serves {} ({}); start pcibackd, or name its socket with --socket",
                                      path, std::strerror(error)));
}

pci::result<void> send(const connection& to, std::string_view text) {
  while (!text.empty()) {
    const auto size = ::send(to.get(), text.data(), text.size(), MSG_NOSIGNAL);
    if (size < 0 && errno != EINTR) {
      return pci::fail(errno, "the daemon does not take the request; see its log");
    }
    text.remove_prefix(size < 0 ? 0 : static_cast<std::size_t>(size));
  }
  return {};
}

pci::result<std::string> receive(const connection& from) {
  std::string line;
  std::array<char, 4096> buffer{};
  while (line.size() < longest_answer) {
    const auto size = ::recv(from.get(), buffer.data(), buffer.size(), 0);
    if (size < 0 && errno == EINTR) {
      continue;
    }
    if (size <= 0) {
      return size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)
                 ? pci::fail(ETIMEDOUT, "the daemon did not answer; see its log")
                 : pci::fail(ECONNRESET, "the daemon closed the connection before it answered; see its log");
    }
    line.append(buffer.data(), static_cast<std::size_t>(size));
    if (const auto end = line.find('\n'); end != std::string::npos) {
      line.resize(end);
      return line;
    }
  }
  return pci::fail(EPROTO, "the daemon's answer does not end");
}

pci::failure failure_of(const json& error) {
  pci::failure why{EPROTO, "the daemon answered with an error that has no words"};
  if (const auto message = error.find("message"); message != error.end() && message->is_string()) {
    why.context = *message->get_ptr<const std::string*>();
  }
  if (const auto data = error.find("data"); data != error.end() && data->is_object()) {
    why.error = data->value("errno", json{}).is_number_integer() ? data->at("errno").get<int>() : EPROTO;
  }
  return why;
}

} // namespace

std::string request_line(const call& what) {
  auto params = json::object();
  if (what.domain) {
    params["domain"] = *what.domain;
  }
  if (what.address) {
    params["address"] = pci::to_string(*what.address);
  }
  if (what.rdm) {
    params["rdm"] = *what.rdm;
  }
  if (what.seize) {
    params["seize"] = *what.seize;
  }
  if (what.on) {
    params["on"] = *what.on;
  }
  if (what.quirk) {
    params["quirk"] = *what.quirk;
  }
  if (what.probe) {
    params["probe"] = *what.probe;
  }
  const json request{{"jsonrpc", "2.0"}, {"id", 1}, {"method", what.method}, {"params", std::move(params)}};
  return request.dump(-1, ' ', false, json::error_handler_t::replace);
}

pci::result<std::string> result_of(const std::string& line) {
  const auto answer = json::parse(line, nullptr, false);
  if (answer.is_object()) {
    if (const auto error = answer.find("error"); error != answer.end() && error->is_object()) {
      return tl::unexpected<pci::failure>(failure_of(*error));
    }
    if (const auto result = answer.find("result"); result != answer.end()) {
      return result->dump(-1, ' ', false, json::error_handler_t::replace);
    }
  }
  return pci::fail(EPROTO, "what came is no answer of pcibackd; is the socket another program's?");
}

pci::result<std::string> exchange(const std::string& socket, const std::string& line) {
  const connection daemon;
  if (daemon.get() < 0) {
    return pci::fail(errno, fmt::format("no socket: {}", std::strerror(errno)));
  }
  return connect(daemon, socket).and_then([&] { return send(daemon, line + "\n"); }).and_then([&] {
    return receive(daemon);
  });
}

namespace {

// A connection that is told nothing for a while is no failure.
pci::result<void> receive_each(const connection& from, const std::function<bool(const std::string&)>& each) {
  std::string received;
  std::array<char, 4096> piece{};
  while (received.size() < longest_answer) {
    const auto size = ::recv(from.get(), piece.data(), piece.size(), 0);
    if (size < 0 && (errno == EINTR || errno == EAGAIN || errno == EWOULDBLOCK)) {
      continue;
    }
    if (size <= 0) {
      return pci::fail(ECONNRESET,
                       "the daemon closed the connection; it ends, or this program did not read for too long");
    }
    received.append(piece.data(), static_cast<std::size_t>(size));
    for (auto end = received.find('\n'); end != std::string::npos; end = received.find('\n')) {
      const auto line = received.substr(0, end);
      received.erase(0, end + 1);
      if (!each(line)) {
        return {};
      }
    }
  }
  return pci::fail(EPROTO, "the daemon sent a line that does not end");
}

} // namespace

pci::result<void> follow(const std::string& socket, const std::string& line,
                         const std::function<bool(const std::string& line)>& each) {
  const connection daemon;
  if (daemon.get() < 0) {
    return pci::fail(errno, fmt::format("no socket: {}", std::strerror(errno)));
  }
  return connect(daemon, socket).and_then([&] { return send(daemon, line + "\n"); }).and_then([&] {
    return receive_each(daemon, each);
  });
}

} // namespace client_program
