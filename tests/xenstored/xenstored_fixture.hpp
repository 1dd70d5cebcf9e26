// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include <sys/types.h>

#include "platform/xen/store.hpp"

namespace test {

/// A real xenstored in a directory of its own, on a machine without Xen. Ends with this value, whatever happens to the
/// test. Failures to start are exceptions, which end the test.
class xenstored {
public:
  xenstored();
  xenstored(const xenstored&) = delete;
  xenstored& operator=(const xenstored&) = delete;
  ~xenstored();

  /// dom0's socket: what XENSTORED_PATH names.
  [[nodiscard]] std::string socket() const { return (directory_ / "socket").string(); }
  /// A domain appears: /local/domain/N, which belongs to it, and @introduceDomain. Returns the socket on which a client
  /// is that domain, to xenstored.
  std::string add_domain(std::uint16_t domain);
  /// The domain dies: @releaseDomain, and the nodes that it owns go.
  void kill_domain(std::uint16_t domain);
  /// The domain shuts down, and stays: @releaseDomain.
  void shut_domain_down(std::uint16_t domain);
  /// xenstored is killed, without a farewell.
  void kill();

private:
  explicit xenstored(std::filesystem::path directory) : directory_(std::move(directory)) {}
  void set_flags(std::uint16_t domain, unsigned flags);
  void write_domains() const;

  std::filesystem::path directory_;
  std::map<std::uint16_t, unsigned> domains_{{0, 0}}; ///< with the flags of fake_xen.c
  std::map<std::uint16_t, pid_t> bridges_;
  pid_t daemon_ = -1;
};

/// Opens a store on the socket. Throws when that fails.
std::unique_ptr<platform::xen::store> connect(const std::string& socket);

} // namespace test
