// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "pci/address.hpp"

/// Where in xenstore everything stands that the daemon reads or writes, and what each node is called. Source:
/// xenstore-paths.pandoc of Xen, and libxl.
namespace pci {

/// The largest number that a domain can have: those from DOMID_FIRST_RESERVED on are Xen's own. Source: xen.h.
inline constexpr std::uint16_t largest_domain = 0x7fef;

namespace paths {

inline constexpr const char* domains = "/local/domain";
inline constexpr const char* backends = "/local/domain/0/backend/pci"; ///< a directory a guest
inline constexpr const char* views = "/local/domain/0/pcibackd";       ///< likewise, of guests that have a view
inline constexpr const char* libxl_functions = "/libxl/pci";           ///< what libxl notes of functions
inline constexpr std::string_view vm_root = "/vm/";                    ///< before the UUID in a domain's `vm`
/// What is written once, so that a xenstored that was replaced is known; dom0's alone.
inline constexpr const char* mark = "/tool/pcibackd/mark";
/// xenstored's own events, for which there is no node.
inline constexpr const char* domain_introduced = "@introduceDomain";
inline constexpr const char* domain_released = "@releaseDomain";

/// A domain's own directory: its name, /vm, target.
[[nodiscard]] std::string home(std::uint16_t domain);
[[nodiscard]] std::string home(std::uint16_t domain, std::string_view node);
/// What libxl notes of a domain.
[[nodiscard]] std::string libxl_domain(std::uint16_t domain, std::string_view node);
/// All of a guest's backends, of which there is one.
[[nodiscard]] std::string backend_parent(std::uint16_t domain);
[[nodiscard]] std::string backend(std::uint16_t domain);
[[nodiscard]] std::string frontend(std::uint16_t domain);
[[nodiscard]] std::string view(std::uint16_t domain);
/// Where both ends say what went wrong, as xenbus does; the parent of the backend's.
[[nodiscard]] std::string backend_error(std::uint16_t domain);
[[nodiscard]] std::string backend_error_parent(std::uint16_t domain);
[[nodiscard]] std::string frontend_error(std::uint16_t domain);
/// What libxl notes of a function: `node::domid`, whose it is; `node::driver_path`, the driver that it was taken from.
[[nodiscard]] std::string libxl_function(const sbdf& address, std::string_view node);
/// What `node::driver_path` says of a driver.
[[nodiscard]] std::string driver_path(std::string_view driver);

/// A node of a directory: "DIRECTORY/state".
[[nodiscard]] std::string in(std::string_view directory, std::string_view node);
/// One of a numbered device, or root, of a backend's directory: "DIRECTORY/state-0".
[[nodiscard]] std::string in(std::string_view directory, std::string_view node, unsigned index);

} // namespace paths

namespace node {

// of a domain
inline constexpr const char* domid = "domid";
inline constexpr const char* name = "name";
inline constexpr const char* target = "target"; ///< of a stub domain: whose device model it has
inline constexpr const char* vm = "vm";
inline constexpr const char* type = "type"; ///< of libxl's notes of a domain
// of libxl's notes of a function, beside `domid`
inline constexpr const char* driver_path = "driver_path";
// of a backend, a frontend or both
inline constexpr const char* state = "state"; ///< of a device too
inline constexpr const char* online = "online";
inline constexpr const char* domain = "domain";
inline constexpr const char* frontend = "frontend";
inline constexpr const char* frontend_id = "frontend-id";
inline constexpr const char* backend = "backend";
inline constexpr const char* backend_id = "backend-id";
inline constexpr const char* num_devs = "num_devs";
inline constexpr const char* root_num = "root_num";
inline constexpr const char* root = "root";
inline constexpr const char* aer_state = "aerState";
inline constexpr const char* pci_op_ref = "pci-op-ref";
inline constexpr const char* event_channel = "event-channel";
inline constexpr const char* magic = "magic";
// of a device, with its number behind
inline constexpr const char* key = "key";
inline constexpr const char* dev = "dev";
inline constexpr const char* vdev = "vdev";
inline constexpr const char* vdevfn = "vdevfn";
inline constexpr const char* opts = "opts";

/// "state-0": a device's or root's node as it is called in its directory.
[[nodiscard]] std::string numbered(std::string_view node, unsigned index);

} // namespace node

} // namespace pci
