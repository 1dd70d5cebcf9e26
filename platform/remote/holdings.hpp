// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "pci/function.hpp"
#include "platform/host.hpp"
#include "platform/records.hpp"

namespace platform::remote {

/// What the host process knows by itself of the functions that are held and of the guests that use some, kept in
/// records of its own: of what the worker says it believes neither. Safe from any thread.
class holdings {
public:
  /// What an earlier instance has left in `kept` is known again.
  holdings(host& where, std::shared_ptr<records> kept);

  /// A function that an instance without records of its own has held, for one that follows it.
  void import(const pci::function& reference);
  /// Nobody has kept anything here yet.
  [[nodiscard]] bool is_first() const { return first_; }

  // -- functions; EPERM unless said otherwise

  /// The function is held now: what it is like, if that is not known. What a guest has had in its hands since is not
  /// looked at.
  [[nodiscard]] pci::result<void> note_held(const pci::sbdf& address);
  /// Given back to dom0.
  void forget(const pci::sbdf& address);
  /// How it was when it was held; EPERM: it was not.
  [[nodiscard]] pci::result<pci::function> reference(const pci::sbdf& address) const;
  /// It was held, and it is still no driver's of dom0.
  [[nodiscard]] pci::result<pci::function> held(const pci::sbdf& address) const;
  [[nodiscard]] std::string previous_driver(const pci::sbdf& address) const;
  /// The function is the physical one of a held one.
  [[nodiscard]] bool is_physical_of_held(const pci::sbdf& address) const;
  /// All of them are registers of functions that are held.
  [[nodiscard]] pci::result<void> check_frames(std::uint64_t first, std::uint64_t count) const;
  [[nodiscard]] pci::result<void> check_ports(std::uint32_t first, std::uint32_t count) const;
  [[nodiscard]] pci::result<void> check_line(std::uint32_t gsi) const;

  // -- guests

  /// A domain with a PCI backend directory, or one that had it while somebody watched, or the HVM guest of such a stub
  /// domain. EPERM: domain 0, Xen's own, and all others.
  [[nodiscard]] pci::result<void> check_guest(domain_id domain);
  /// The same, or a domain that is no more: its remains are being taken away.
  [[nodiscard]] pci::result<void> check_guest_or_gone(domain_id domain);
  /// It was given a function here, before its toolstack or pcibackd made it a directory.
  void note_guest(domain_id domain);

private:
  struct entry {
    pci::function reference;
    std::string previous_driver;
  };
  void load();
  void keep(const pci::sbdf& address, const entry& what) const;
  void keep_guests() const;
  [[nodiscard]] bool is_known_as_it_is(const pci::sbdf& address) const;
  [[nodiscard]] bool has_directory(domain_id domain) const;
  [[nodiscard]] bool serves_as_target(domain_id domain) const;

  host& where_;
  std::shared_ptr<records> kept_;
  bool first_ = false;
  mutable std::mutex mutex_;
  std::map<pci::sbdf, entry> functions_;
  std::set<domain_id> guests_;
};

/// Whether `holdings` of this version takes up a record that another has kept under that name: what it does not, it
/// does not know, and its worker may not touch.
[[nodiscard]] bool takes_up(const std::string& name, const std::string& text);

/// Domains that can be a guest: neither domain 0 nor one of Xen's own.
[[nodiscard]] bool can_be_guest(domain_id domain);

} // namespace platform::remote
