// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "messages/interfaces.hpp"
#include "platform/host.hpp"

namespace actors {

/// What can be done at once for a function whose interrupt dom0's handler has claimed.
class line_service {
public:
  line_service() = default;
  line_service(const line_service&) = delete;
  line_service& operator=(const line_service&) = delete;
  virtual ~line_service() = default;
  /// True: the device actor is to look at its line.
  [[nodiscard]] virtual bool interrupt() = 0;
};

/// Turns the host's events into messages, and does nothing else, except that it lets a line's service acknowledge. What
/// a guest can cause is coalesced here, before it is posted: of a guest's xenstore changes at most one is in a mailbox.
/// Thread-safe.
class pump final : public platform::event_sink {
public:
  /// The watch on every guest's backend directory, on the birth and on the death of domains, and the prefix of those on
  /// a frontend's state.
  static constexpr const char* backend_token = "backend";
  static constexpr const char* introduce_token = "introduce";
  static constexpr const char* release_token = "release";
  static constexpr const char* frontend_token = "frontend-";

  /// Watches the backend directories, and the birth and death of domains.
  [[nodiscard]] static pci::result<void> watch(platform::store& store);

  void set_root(messages::root_actor root);
  void route_line(const pci::sbdf& address, messages::device_actor to, std::shared_ptr<line_service> service);
  void unroute_line(const pci::sbdf& address);

  void route_domain(messages::domain_id domain, messages::domain_actor to);
  /// Ends the route; a change that was posted but not yet taken goes to root instead, so that none is lost.
  void unroute_domain(messages::domain_id domain);
  /// The domain actor is about to look: later changes are worth a new message.
  void take_changes(messages::domain_id domain);
  /// Root is about to look.
  void take_root_changes(messages::domain_id domain);
  /// Tells of each change of a domain's backend directory and of its frontend's state too, until `forget`. `told` must
  /// return at once. The number is for `forget`.
  [[nodiscard]] std::uint64_t tell_changes(messages::domain_id domain, std::function<void()> told);
  void forget(std::uint64_t number);
  /// Which domains ended or shut down since the last call; empty where xenstored does not tell: it may be any.
  [[nodiscard]] std::optional<std::set<messages::domain_id>> take_releases();
  void take_introductions();
  /// The errors since the last call, one tally a function or bridge. Root is told once of all of them.
  [[nodiscard]] std::vector<pci::error_tally> take_errors();

  void store_changed(const std::string& path, const std::string& token) override;
  void line_interrupts(std::span<const pci::sbdf> addresses) override;
  void function_removed(const pci::sbdf& address) override;
  void function_added(const pci::sbdf& address) override;
  void driver_unbound(const pci::sbdf& address) override;
  void removal_waits(const pci::sbdf& address) override;
  void function_error(const pci::sbdf& address, pci::error_severity severity, std::string_view status) override;
  void recovery_ended(const pci::sbdf& address) override;
  void resumed() override;
  void lost(std::string_view what, const std::string& reason) override;
  void regained(std::string_view what) override;

  /// The domain whose backend directory `path` is in; empty for all other paths.
  [[nodiscard]] static std::optional<messages::domain_id> domain_of(std::string_view path);

private:
  struct line_route {
    messages::device_actor to;
    std::shared_ptr<line_service> service;
  };
  [[nodiscard]] std::optional<line_route> find_line(const pci::sbdf& address);

  struct route {
    messages::domain_actor to;
    bool pending = false;
  };
  void domain_changed(messages::domain_id domain);
  pci::error_tally& tally(const pci::sbdf& address);

  std::mutex mutex_; ///< of all below
  messages::root_actor root_;
  std::unordered_map<pci::sbdf, line_route> lines_;
  std::unordered_map<messages::domain_id, route> domains_;
  std::unordered_map<messages::domain_id, bool> root_pending_;
  struct listener {
    messages::domain_id domain;
    std::function<void()> told;
  };
  std::map<std::uint64_t, listener> listeners_;
  std::uint64_t last_listener_ = 0;
  bool release_pending_ = false;
  bool any_released_ = false; ///< a domain that xenstored does not name
  std::set<messages::domain_id> released_;
  bool introduction_pending_ = false;
  std::unordered_map<pci::sbdf, pci::error_tally> errors_; ///< not yet taken; bounded by the host's functions
};

} // namespace actors
