// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackd/listening_socket.hpp"

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

namespace daemon_program {
namespace {

constexpr int backlog = 16;
constexpr mode_t directory_mode = 0755;
constexpr mode_t socket_mode = 0600;

platform::descriptor make_socket() {
  return platform::descriptor{::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
}

pci::result<sockaddr_un> address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return pci::fail(ENAMETOOLONG,
                     fmt::format("the control socket's path \"{}\" has to be 1 to {} bytes long; give another", path,
                                 sizeof address.sun_path - 1));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  return address;
}

template <class Call>
int with(const sockaddr_un& address, Call call) {
  return call(reinterpret_cast<const sockaddr*>(&address), static_cast<socklen_t>(sizeof address)) == 0 ? 0 : errno;
}

pci::result<void> make_directory(const std::string& path) {
  const auto directory = std::filesystem::path{path}.parent_path();
  if (directory.empty()) {
    return {};
  }
  if (::mkdir(directory.c_str(), directory_mode) == 0) {
    // The umask may have taken from the mode; the socket's own is what protects it.
    static_cast<void>(::chmod(directory.c_str(), directory_mode));
    return {};
  }
  return errno == EEXIST
             ? pci::result<void>{}
             : pci::fail(errno, fmt::format("{}, the control socket's directory, cannot be made", directory.string()));
}

// A daemon that was killed leaves its socket behind; connecting tells it from one that somebody serves.
pci::result<void> clear_way(const sockaddr_un& address, const std::string& path) {
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0) {
    return {};
  }
  if (!S_ISSOCK(found.st_mode)) {
    return pci::fail(ENOTSOCK, fmt::format("{} is in the way of the control socket; remove it", path));
  }
  const auto probe = make_socket();
  const auto error = with(address, [&](auto* to, auto size) { return ::connect(probe.get(), to, size); });
  if (error != ECONNREFUSED) {
    return pci::fail(EADDRINUSE, fmt::format("pcibackd is already running: somebody serves {}", path));
  }
  ::unlink(path.c_str());
  return {};
}

pci::result<platform::descriptor> bind_and_listen(const sockaddr_un& address, const std::string& path) {
  auto listener = make_socket();
  // The mode has to be right from the first moment, and chmod comes after bind; no other thread runs yet.
  const auto before = ::umask(static_cast<mode_t>(~socket_mode & 0777));
  const auto error = with(address, [&](auto* to, auto size) { return ::bind(listener.get(), to, size); });
  ::umask(before);
  if (error != 0) {
    return pci::fail(error, fmt::format("the control socket {} cannot be made", path));
  }
  if (::listen(listener.get(), backlog) != 0) {
    return pci::fail(errno, fmt::format("nobody can connect to the control socket {}", path));
  }
  return listener;
}

} // namespace

pci::result<platform::descriptor> listen_at(const std::string& path) {
  const auto address = address_of(path);
  if (!address) {
    return tl::unexpected(address.error());
  }
  return make_directory(path).and_then([&] { return clear_way(*address, path); }).and_then([&] {
    return bind_and_listen(*address, path);
  });
}

} // namespace daemon_program
