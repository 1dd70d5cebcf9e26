// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <string>
#include <string_view>

#include "messages/types.hpp"
#include "pci/address.hpp"

/// Where in xenstore everything stands that the daemon reads or writes. Source: xenstore-paths.pandoc of Xen, and
/// libxl.
namespace actors::paths {

inline constexpr const char* domains = "/local/domain";
inline constexpr const char* backends = "/local/domain/0/backend/pci"; ///< a directory a guest
inline constexpr const char* views = "/local/domain/0/pcibackd";       ///< likewise; see guest_view.hpp
inline constexpr const char* libxl_functions = "/libxl/pci";           ///< what libxl notes of functions

/// A domain's own directory: its name, /vm, target.
[[nodiscard]] std::string home(messages::domain_id domain);
[[nodiscard]] std::string home(messages::domain_id domain, std::string_view node);
/// What libxl notes of a domain.
[[nodiscard]] std::string libxl_domain(messages::domain_id domain, std::string_view node);
/// All of a guest's backends, of which there is one.
[[nodiscard]] std::string backend_parent(messages::domain_id domain);
[[nodiscard]] std::string backend(messages::domain_id domain);
[[nodiscard]] std::string frontend(messages::domain_id domain);
[[nodiscard]] std::string view(messages::domain_id domain);
/// Where both ends say what went wrong, as xenbus does; the parent of the backend's.
[[nodiscard]] std::string backend_error(messages::domain_id domain);
[[nodiscard]] std::string backend_error_parent(messages::domain_id domain);
[[nodiscard]] std::string frontend_error(messages::domain_id domain);
/// "domid": whose the function is; "driver_path": the driver that it was taken from.
[[nodiscard]] std::string libxl_function(const pci::sbdf& address, std::string_view node);

} // namespace actors::paths
