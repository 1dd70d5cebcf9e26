// SPDX-License-Identifier: GPL-2.0-or-later
#include "actors/xenstore/paths.hpp"

#include <fmt/format.h>

namespace actors::paths {

using messages::domain_id;

std::string home(domain_id domain) { return fmt::format("{}/{}", domains, domain); }
std::string home(domain_id domain, std::string_view node) { return fmt::format("{}/{}/{}", domains, domain, node); }
std::string libxl_domain(domain_id domain, std::string_view node) { return fmt::format("/libxl/{}/{}", domain, node); }
std::string backend_parent(domain_id domain) { return fmt::format("{}/{}", backends, domain); }
std::string backend(domain_id domain) { return backend_parent(domain) + "/0"; }
std::string frontend(domain_id domain) { return home(domain, "device/pci/0"); }
std::string view(domain_id domain) { return fmt::format("{}/{}", views, domain); }
std::string backend_error_parent(domain_id domain) { return fmt::format("{}/0/error/backend/pci/{}", domains, domain); }
std::string backend_error(domain_id domain) { return backend_error_parent(domain) + "/0/error"; }
std::string frontend_error(domain_id domain) { return home(domain, "error/device/pci/0/error"); }
std::string libxl_function(const pci::sbdf& address, std::string_view node) {
  return fmt::format("{}/{}/{}", libxl_functions, pci::to_libxl_string(address), node);
}

} // namespace actors::paths
