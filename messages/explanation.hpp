// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "messages/types.hpp"
#include "pci/dmar.hpp"
#include "pci/protocol/reset.hpp"

/// Everything that is known of a function, from the settings to its guest's driver, as one value: what `explain` shows
/// and draws its verdict from.
namespace messages {

/// What the administrator wanted and did not get.
struct trouble {
  std::chrono::seconds ago{0};
  std::string what; ///< one line
  int error = 0;    ///< its kind, an errno; 0: unknown
};

/// A guest as its toolstack has made it, and as it goes.
struct guest_account {
  domain_id domain = 0;
  std::string name;  ///< in xenstore; empty: none
  std::string words; ///< "web (4)", "web (4), by its stub domain 5"
  bool hvm = false;  ///< HVM or PVH: it has no PCI frontend
  bool pvh = false;  ///< it can have no function
  bool paused = false;
  bool ended = false;                  ///< shut down or dying
  std::optional<domain_status> served; ///< empty: it has no backend directory
  std::string backend_error;           ///< this backend's own error node: what it could not do for the guest
  std::size_t vectors = 0;             ///< of MSI and MSI-X, in all its functions
  std::size_t vector_limit = 0;        ///< Xen's for one guest; 0: not known
};

/// Another function of the host that shares something with the one in question.
struct sharer {
  pci::sbdf address;
  std::string driver;                ///< of dom0's, the holders included; empty: none
  std::optional<domain_id> domain{}; ///< that has it, and is no guest of the function's own
  std::string guest{};               ///< that domain in words; empty: nobody, or unknown
};

/// What [[assign]] says of a function.
struct assignment_account {
  std::string guest;               ///< as the settings call it
  std::optional<domain_id> domain; ///< that guest, which runs
  std::string nearest;             ///< empty, or the name of a guest that runs, which is nearly the same
};

/// One function.
struct function_account {
  pci::sbdf address;

  // The settings.
  bool configured = false; ///< a [[device]] or hide= matches it
  bool hold = false;       ///< and wants it held at the start
  bool seize = false;
  std::string pin_mismatch; ///< another card than pinned is there, in these words; empty: it is not so
  std::string objection;    ///< why it must not be held, the pin excepted; empty: it may
  std::optional<assignment_account> assigned;
  bool rdm_relaxed = false; ///< a guest may have it although others use its reserved memory
  bool share_pages = false; ///< a guest may have it although others have registers in its pages

  // The host.
  bool no_iommu = false; ///< Xen drives none, so that no guest can have anything
  bool there = false;
  std::uint16_t vendor = 0;
  std::uint16_t device = 0;
  std::uint32_t class_code = 0;
  std::string driver;          ///< bound now; empty: none
  std::string previous_driver; ///< that the function was taken from; empty: not known
  std::vector<pci::reset_option> resets;
  std::vector<pci::reserved_region> reserved; ///< memory of the firmware's that it uses (RMRR)
  std::vector<sharer> slot_mates;             ///< the other functions of its slot; of an absent one, of its bus
  std::vector<sharer> page_mates;             ///< that have registers in its pages

  // The daemon and the guest.
  std::optional<function_status> status;     ///< empty: neither held nor refused
  std::optional<register_account> registers; ///< empty: not held
  std::optional<std::uint16_t> command;      ///< its guest's COMMAND, as last noted; empty: no guest is served
  std::vector<trouble> troubles;             ///< the latest stands last
  std::optional<guest_account> guest;        ///< whose it is, or is to be
};

/// The answer to `explain`.
struct explanation {
  std::string asked;                  ///< the guest that was asked for; empty: a function was
  std::optional<guest_account> guest; ///< that one; empty: it does not run
  std::string nearest;                ///< empty, or a name in [[assign]] that nobody has and that is nearly the guest's
  std::vector<pci::sbdf> misassigned; ///< what that name is assigned
  std::vector<function_account> functions;
};

} // namespace messages
