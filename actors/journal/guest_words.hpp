// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>

#include "messages/types.hpp"
#include "pci/address.hpp"
#include "pci/config_space/space.hpp"
#include "pci/policy.hpp"
#include "pci/protocol/aer.hpp"
#include "platform/records.hpp"

namespace actors {

/// A recovery as it goes on under the next daemon.
struct saved_recovery {
  pci::recovery machine;
  pci::error_policy policy = pci::error_policy::kill;
  bool asked = false; ///< what it asks stands in the guest's page, or the answer does

  /// A word, and what it says: empty for what no recovery of this domain's has written.
  [[nodiscard]] std::uint64_t word(messages::domain_id domain) const;
  [[nodiscard]] static std::optional<saved_recovery> from(std::uint64_t word, messages::domain_id domain);
};

/// What of a guest's doing with a function the next daemon has to know, and what changes more often than a record can
/// be written: in memory that outlives this one. Each part is a word, so that a killed daemon leaves none half written.
/// Of a function without a row nothing is kept.
class guest_row {
public:
  guest_row() = default;

  void keep(messages::domain_id domain, const pci::guest_state& state);
  /// Empty: nothing is known of this guest. Of the state, what outlives a daemon.
  [[nodiscard]] std::optional<pci::guest_state> state_of(messages::domain_id domain) const;
  void keep(messages::domain_id domain, const saved_recovery& what);
  void forget_recovery();
  [[nodiscard]] std::optional<saved_recovery> recovery_of(messages::domain_id domain) const;

private:
  friend class guest_words;
  enum part : std::size_t { address, state, recovery, unused, width };
  guest_row(std::shared_ptr<platform::lasting_words> where, std::size_t first)
      : where_(std::move(where)), first_(first) {}
  [[nodiscard]] std::atomic<std::uint64_t>& at(part which) const { return where_->all()[first_ + which]; }

  std::shared_ptr<platform::lasting_words> where_; ///< null: no row
  std::size_t first_ = 0;
};

/// The rows, one a function. Thread-safe.
class guest_words {
public:
  static constexpr std::size_t rows = platform::lasting_words::count / guest_row::width;

  /// null: there are none.
  explicit guest_words(std::shared_ptr<platform::lasting_words> where) : where_(std::move(where)) {}
  /// The function's row: that of an earlier daemon, or a new one. No row when all are taken.
  [[nodiscard]] guest_row of(const pci::sbdf& address);
  /// Its row is free for another function.
  void forget(const pci::sbdf& address);

private:
  [[nodiscard]] std::optional<std::size_t> find(std::uint64_t key) const;

  std::mutex mutex_;
  std::shared_ptr<platform::lasting_words> where_;
};

} // namespace actors
