// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "platform/host.hpp"
#include "platform/records.hpp"
#include "platform/remote/handover.hpp"
#include "platform/remote/links.hpp"

namespace platform::remote {

/// A host as the worker sees it: what another process does for it (see server.hpp), and what it got from there to use
/// by itself.
class remote_host final : public host {
public:
  /// The other ends of the server's sockets. `hands` and `time` outlive this.
  remote_host(descriptor requests, descriptor events, takeover& hands, const clock& time);
  ~remote_host() override;

  [[nodiscard]] store& xenstore() override;
  [[nodiscard]] event_channels& channels() override;
  [[nodiscard]] grants& grant_table() override;
  [[nodiscard]] hypervisor& xen() override;
  [[nodiscard]] pci_host& pci() override;
  [[nodiscard]] line_interrupts& lines() override;
  [[nodiscard]] removal_guards& guards() override;
  [[nodiscard]] const clock& time() const override { return time_; }
  [[nodiscard]] pci::result<void> start(event_sink& sink) override;
  void stop() override;

  // -- beside the host's interface: what else the worker cannot do by itself

  /// Waits until the host process has opened its host; false: it has ended instead.
  [[nodiscard]] bool is_open() { return links_->ask<of::processors>().has_value(); }
  /// The journal's records; they live longer than this, and fail with ENOTCONN then.
  [[nodiscard]] std::shared_ptr<records> journal() const;
  [[nodiscard]] pci::result<void> notify(const std::string& state) { return links_->ask<of::notify>(state); }
  [[nodiscard]] pci::result<void> replace_metrics(const std::string& text) {
    return links_->ask<of::replace_metrics>(text);
  }
  void remove_metrics() { static_cast<void>(links_->ask<of::remove_metrics>()); }
  /// The text of the file that the settings came from. ENOENT: they came from none.
  [[nodiscard]] pci::result<std::string> read_settings() { return links_->ask<of::read_settings>(); }
  [[nodiscard]] std::vector<thread_time> threads() {
    return links_->ask<of::threads>().value_or(std::vector<thread_time>{});
  }

private:
  struct parts;
  void hear(event_sink& sink);

  std::shared_ptr<links> links_;
  const clock& time_;
  std::unique_ptr<parts> parts_;
  packet_socket events_;
  std::thread hearing_; ///< between start and stop
};

} // namespace platform::remote
