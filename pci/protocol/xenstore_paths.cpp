// SPDX-License-Identifier: GPL-2.0-or-later
#include "pci/protocol/xenstore_paths.hpp"

#include <fmt/format.h>

namespace pci {
namespace paths {

std::string home(std::uint16_t domain) { return fmt::format("{}/{}", domains, domain); }
std::string home(std::uint16_t domain, std::string_view node) { return in(home(domain), node); }
std::string libxl_domain(std::uint16_t domain, std::string_view node) {
  return fmt::format("/libxl/{}/{}", domain, node);
}
std::string backend_parent(std::uint16_t domain) { return fmt::format("{}/{}", backends, domain); }
std::string backend(std::uint16_t domain) { return backend_parent(domain) + "/0"; }
std::string frontend(std::uint16_t domain) { return home(domain, "device/pci/0"); }
std::string view(std::uint16_t domain) { return fmt::format("{}/{}", views, domain); }
std::string backend_error_parent(std::uint16_t domain) {
  return fmt::format("{}/0/error/backend/pci/{}", domains, domain);
}
std::string backend_error(std::uint16_t domain) { return backend_error_parent(domain) + "/0/error"; }
std::string frontend_error(std::uint16_t domain) { return home(domain, "error/device/pci/0/error"); }
std::string libxl_function(const sbdf& address, std::string_view node) {
  return fmt::format("{}/{}/{}", libxl_functions, to_libxl_string(address), node);
}
std::string driver_path(std::string_view driver) { return fmt::format("/sys/bus/pci/drivers/{}", driver); }

std::string in(std::string_view directory, std::string_view node) { return fmt::format("{}/{}", directory, node); }
std::string in(std::string_view directory, std::string_view node, unsigned index) {
  return fmt::format("{}/{}-{}", directory, node, index);
}

} // namespace paths

std::string node::numbered(std::string_view node, unsigned index) { return fmt::format("{}-{}", node, index); }

} // namespace pci
