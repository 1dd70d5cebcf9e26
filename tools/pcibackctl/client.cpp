// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackctl/client.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tools/pcibackctl/json_text.hpp"

namespace client_program {
namespace {

using time_point = std::chrono::steady_clock::time_point;

// JSON-RPC 2.0, section 5.1.
constexpr int method_not_found = -32601;
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

pci::result<void> connect(int to, const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return pci::fail(ENAMETOOLONG, fmt::format("{} is longer than the {} bytes of a socket's address", path,
                                               sizeof address.sun_path - 1));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  if (::connect(to, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
    return {};
  }
  const auto error = errno;
  if (error == EACCES) {
    return pci::fail(error, fmt::format("only root may use {}; use sudo", path));
  }
  return pci::fail(error, fmt::format("no daemon serves {} ({}); start pcibackd, or name its socket with --socket",
                                      path, std::strerror(error)));
}

pci::result<void> send(int to, std::string_view text) {
  while (!text.empty()) {
    const auto size = ::send(to, text.data(), text.size(), MSG_NOSIGNAL);
    if (size < 0 && errno != EINTR) {
      return pci::fail(errno, "the daemon does not accept the request; see its log");
    }
    text.remove_prefix(size < 0 ? 0 : static_cast<std::size_t>(size));
  }
  return {};
}

/// True: there is something to be read, or the connection has ended. Tells of each second that goes by.
bool wait_for(int from, const patience& how, time_point begin) {
  using namespace std::chrono_literals;
  for (;;) {
    const auto elapsed =
        std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
    if (elapsed >= how.limit) {
      return false;
    }
    const auto step = std::min<std::chrono::milliseconds>(how.limit - elapsed, 1000ms - elapsed % 1000ms);
    pollfd one{from, POLLIN, 0};
    if (::poll(&one, 1, static_cast<int>(step.count())) > 0) {
      return true;
    }
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - begin);
    if (how.waiting && seconds > 0s) {
      how.waiting(seconds);
    }
  }
}

pci::result<std::string> receive(int from, const patience& how) {
  const auto begin = std::chrono::steady_clock::now();
  std::string line;
  std::array<char, 4096> buffer{};
  while (line.size() < longest_answer) {
    if (!wait_for(from, how, begin)) {
      return pci::fail(ETIMEDOUT, fmt::format("pcibackd did not answer in {} s; it may go on with it: see its log, or "
                                              "pcibackctl list",
                                              std::chrono::duration<double>(how.limit).count()));
    }
    const auto size = ::recv(from, buffer.data(), buffer.size(), 0);
    if (size < 0 && (errno == EINTR || errno == EAGAIN)) {
      continue;
    }
    if (size <= 0) {
      return pci::fail(ECONNRESET, "the daemon closed the connection before it answered; see its log");
    }
    line.append(buffer.data(), static_cast<std::size_t>(size));
    if (const auto end = line.find('\n'); end != std::string::npos) {
      line.resize(end);
      return line;
    }
  }
  return pci::fail(EPROTO, "the daemon's answer is too long");
}

pci::failure failure_of(const json& error) {
  pci::failure why{EPROTO, "the daemon answered with an error without a message"};
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
  return pci::fail(EPROTO, "the answer is not pcibackd's; is this another program's socket?");
}

pci::result<std::string> exchange(const std::string& socket, const std::string& line, const patience& how) {
  const connection daemon;
  if (daemon.get() < 0) {
    return pci::fail(errno, fmt::format("no socket: {}", std::strerror(errno)));
  }
  return connect(daemon.get(), socket).and_then([&] { return send(daemon.get(), line + "\n"); }).and_then([&] {
    return receive(daemon.get(), how);
  });
}

tl::expected<std::string, complaint> read_answer(const std::string& line, const std::string& method) {
  const auto answer = json::parse(line, nullptr, false);
  const auto error = answer.is_object() ? answer.find("error") : answer.end();
  if (answer.is_object() && error != answer.end() && error->is_object() &&
      error->value("code", json{}) == method_not_found) {
    return tl::unexpected(complaint{pci::failure_kind::failed, 0,
                                    fmt::format("this pcibackd does not know \"{}\": it is older than pcibackctl; "
                                                "restart it",
                                                method)});
  }
  const auto result = result_of(line);
  if (result) {
    return *result;
  }
  complaint why{pci::kind_of(result.error().error), result.error().error, result.error().context};
  if (error != answer.end() && answer.is_object() && error->is_object() && error->contains("data") &&
      error->at("data").is_object()) {
    const auto& data = error->at("data");
    if (const auto what = data.find("what"); what != data.end() && what->is_string()) {
      why.text = what->get<std::string>();
    }
    if (data.value("kind", json{}) == std::string{pci::to_string(pci::failure_kind::usage)}) {
      why = {pci::failure_kind::usage, 0, why.text};
    }
  }
  return tl::unexpected(std::move(why));
}

pci::result<conversation> conversation::open(const std::string& socket) {
  conversation made{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (made.number_ < 0) {
    return pci::fail(errno, fmt::format("no socket: {}", std::strerror(errno)));
  }
  if (const auto done = connect(made.number_, socket); !done) {
    return tl::unexpected(done.error());
  }
  return made;
}

conversation::conversation(conversation&& from) noexcept : number_(std::exchange(from.number_, -1)) {}

conversation::~conversation() {
  if (number_ >= 0) {
    ::close(number_);
  }
}

tl::expected<std::string, complaint> conversation::ask(const std::string& line, const std::string& method,
                                                       const patience& how) {
  const auto answer = send(number_, line + "\n").and_then([&] { return receive(number_, how); });
  return answer ? read_answer(*answer, method) : tl::unexpected(unreached(answer.error()));
}

complaint unreached(const pci::failure& why) {
  const auto kind = why.error == ETIMEDOUT      ? pci::failure_kind::timed_out
                    : why.error == EACCES       ? pci::failure_kind::refused
                    : why.error == ENAMETOOLONG ? pci::failure_kind::usage
                                                : pci::failure_kind::no_daemon;
  return {kind, why.error, why.context};
}

tl::expected<std::string, complaint> ask(const std::string& socket, const std::string& line, const std::string& method,
                                         const patience& how) {
  const auto answer = exchange(socket, line, how);
  return answer ? read_answer(*answer, method) : tl::unexpected(unreached(answer.error()));
}

tl::expected<std::string, complaint> ask(const std::string& socket, const call& what, const patience& how) {
  return ask(socket, request_line(what), what.method, how);
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
  return pci::fail(EPROTO, "the daemon sent a line that is too long");
}

} // namespace

pci::result<void> follow(const std::string& socket, const std::string& line,
                         const std::function<bool(const std::string& line)>& each) {
  const connection daemon;
  if (daemon.get() < 0) {
    return pci::fail(errno, fmt::format("no socket: {}", std::strerror(errno)));
  }
  return connect(daemon.get(), socket).and_then([&] { return send(daemon.get(), line + "\n"); }).and_then([&] {
    return receive_each(daemon, each);
  });
}

} // namespace client_program
