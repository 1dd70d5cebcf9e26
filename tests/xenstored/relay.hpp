// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <array>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "platform/descriptor.hpp"

namespace test {

/// A way to a xenstored that can be cut and mended, and lead to another one then.
class relay {
public:
  explicit relay(std::filesystem::path at) : at_(std::move(at)) {}
  relay(const relay&) = delete;
  relay& operator=(const relay&) = delete;
  ~relay() { cut(); }

  [[nodiscard]] std::string socket() const { return at_.string(); }
  /// From now on whoever connects is connected with `target`.
  void lead_to(const std::string& target) {
    listener_ = platform::descriptor{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    const auto place = address(at_.string());
    if (::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&place), sizeof place) != 0 ||
        ::listen(listener_.get(), 8) != 0)
      throw std::runtime_error("no relay at " + at_.string());
    thread_ = std::jthread([this, target](const std::stop_token& stop) { run(stop, target); });
  }
  /// All connections end, and no new one can be had.
  void cut() {
    std::filesystem::remove(at_);
    thread_ = {};
    listener_ = {};
  }

private:
  using descriptor = platform::descriptor;
  struct pair {
    descriptor client, server;
  };
  static sockaddr_un address(const std::string& path) {
    sockaddr_un place{};
    place.sun_family = AF_UNIX;
    std::strncpy(place.sun_path, path.c_str(), sizeof place.sun_path - 1);
    return place;
  }
  static bool copy(const descriptor& from, const descriptor& to) {
    std::array<char, 4096> buffer{};
    const auto size = ::recv(from.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    return size > 0 && ::send(to.get(), buffer.data(), static_cast<std::size_t>(size), MSG_NOSIGNAL) == size;
  }
  void accept(const std::string& target, std::vector<pair>& all) const {
    pair made{descriptor{::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC)},
              descriptor{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)}};
    const auto place = address(target);
    if (made.client && ::connect(made.server.get(), reinterpret_cast<const sockaddr*>(&place), sizeof place) == 0)
      all.push_back(std::move(made));
  }
  void run(const std::stop_token& stop, const std::string& target) const {
    std::vector<pair> all;
    while (!stop.stop_requested()) {
      std::vector<pollfd> waiting{{listener_.get(), POLLIN, 0}};
      for (const auto& each : all) {
        waiting.push_back({each.client.get(), POLLIN, 0});
        waiting.push_back({each.server.get(), POLLIN, 0});
      }
      if (::poll(waiting.data(), waiting.size(), 10) <= 0)
        continue;
      for (std::size_t i = all.size(); i-- > 0;) {
        const bool fine = (waiting[1 + 2 * i].revents == 0 || copy(all[i].client, all[i].server)) &&
                          (waiting[2 + 2 * i].revents == 0 || copy(all[i].server, all[i].client));
        if (!fine)
          all.erase(all.begin() + static_cast<std::ptrdiff_t>(i));
      }
      if (waiting[0].revents != 0)
        accept(target, all);
    }
  }

  std::filesystem::path at_;
  descriptor listener_;
  std::jthread thread_;
};

} // namespace test
