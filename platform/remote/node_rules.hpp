// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "pci/address.hpp"
#include "platform/store.hpp"

/// Which nodes of xenstore the worker may use: those that a PCI backend and pcibackd's own half of a toolstack do.
/// Pure.
namespace platform::remote {

/// What the rules say no to: EPERM, with words that begin alike, so that it can be told from what Xen refuses.
[[nodiscard]] tl::unexpected<pci::failure> refuse(const std::string& what);
[[nodiscard]] bool is_refusal(const pci::failure& why);
/// What the rules say no to and a guest may have brought about, by changing what the worker has just read: a refusal,
/// but none that says anything of the worker.
[[nodiscard]] tl::unexpected<pci::failure> refuse_as_overtaken(const std::string& what);
/// A refusal of what no worker asks for by itself.
[[nodiscard]] bool is_suspicious(const pci::failure& why);

/// What a node is, as far as the rules go.
struct node_kind {
  bool readable = false;
  bool writable = false;
  std::optional<std::uint16_t> domain; ///< whose it is, where it is a guest's
  std::optional<pci::sbdf> noted;      ///< of libxl's notes of a function: whose
  bool names_driver = false;           ///< and it is the note of dom0's driver
};

/// What is not listed is neither: paths that are not absolute, empty components, domain 0 as a guest.
[[nodiscard]] node_kind kind_of_node(std::string_view path);
/// A path of these, or one of xenstored's own events.
[[nodiscard]] bool may_watch(std::string_view path);
/// Rights go to domain 0 and to the guest whose node it is.
[[nodiscard]] bool may_permit(std::string_view path, std::span<const node_permission> who);
/// A name for a record of the journal: no path, and no file that is hidden.
[[nodiscard]] bool is_record_name(std::string_view name);

} // namespace platform::remote
