// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <utility>

#include "pci/policy.hpp"

namespace pci {

/// A function's policy through its leases. Each begins with what the settings say; what is switched at run time holds
/// for the lease that is, or for the next one, and ends with it, unless the settings keep it until the function is
/// released.
class lease_policy {
public:
  lease_policy() = default;
  lease_policy(policy settings, bool keep) : settings_(std::move(settings)), now_(settings_), keep_(keep) {}

  [[nodiscard]] const policy& now() const { return now_; }
  void set(policy next) {
    now_ = std::move(next);
    switched_ = true;
  }
  /// The settings are others: they hold from the next lease on, or now when there is none (`leased`).
  void configure(policy settings, bool keep, bool leased) {
    settings_ = std::move(settings);
    keep_ = keep;
    if (!leased && !switched_)
      now_ = settings_;
  }
  /// A guest's wish for this lease alone, which is not kept.
  void permit_all() { wished_ = true; }
  void forbid_all() { wished_ = false; }
  /// What is in force: `now`, and what the guest's configuration asks for.
  [[nodiscard]] policy in_force() const {
    policy all = now_;
    all.permissive = all.permissive || wished_;
    return all;
  }
  void end_lease() {
    wished_ = false;
    switched_ = switched_ && keep_;
    if (!switched_)
      now_ = settings_;
  }

private:
  policy settings_;
  policy now_;
  bool keep_ = false;
  bool switched_ = false; ///< at run time
  bool wished_ = false;
};

} // namespace pci
