// SPDX-License-Identifier: GPL-2.0-or-later
#include "tools/pcibackctl/calls.hpp"

#include <utility>
#include <variant>

#include "tools/pcibackctl/arguments.hpp"

namespace client_program {
namespace {

pci::result<call> with_target(call what, const options& given) {
  const auto target = target_argument(given.target);
  if (!target) {
    return tl::unexpected(target.error());
  }
  if (const auto* address = std::get_if<pci::sbdf>(&*target)) {
    what.address = *address;
  } else {
    what.domain = std::get<std::string>(*target);
  }
  return what;
}

pci::result<call> with_address(call what, const options& given) {
  const auto address = address_argument(given.address);
  if (address) {
    what.address = *address;
  }
  return address ? pci::result<call>{std::move(what)} : tl::unexpected(address.error());
}

} // namespace

std::string method_of(const std::string& command) {
  return command == "interrupt-control" ? "interrupt_control" : command == "writes" ? "registers" : command;
}

// Only what the method has: the daemon refuses parameters that it does not know.
pci::result<call> call_of(const std::string& method, const options& given) {
  // What differs is how the answer is shown.
  call what{method == "lines" ? "list" : method, {}, {}, {}, {}};
  if (!given.domain.empty()) {
    const auto guest = guest_argument(given.domain);
    if (!guest) {
      return tl::unexpected(guest.error());
    }
    what.domain = *guest;
  }
  if (method == "hold") {
    what.seize = given.seize;
  }
  if (!given.rdm.empty()) {
    what.rdm = given.rdm;
  }
  if (method == "release" && given.driverless) {
    what.probe = false;
  }
  if (!given.state.empty()) {
    what.on = given.state == "on";
  }
  if (method == "quirk") {
    what.quirk = given.quirk;
    what.on = !given.remove;
  }
  if (method == "drain" || method == "explain") {
    return with_target(std::move(what), given);
  }
  return what.method == "list" ? pci::result<call>{std::move(what)} : with_address(std::move(what), given);
}

} // namespace client_program
