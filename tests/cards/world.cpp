// SPDX-License-Identifier: GPL-2.0-or-later
#include "world.hpp"

#include "pci/config_space/base_registers.hpp"
#include "pci/config_space/capabilities.hpp"
#include "pci/config_space/register_names.hpp"
#include "pci/config_space/registers.hpp"
#include "volatile_bits.hpp"

namespace cards {

namespace reg = pci::reg;

void complaints::add(const std::string& what) {
  if (++count_ <= kept) {
    texts_.push_back(where_ + ": " + what);
  }
}

std::uint32_t value_in(const space_bytes& space, std::size_t offset, unsigned width) {
  std::uint32_t value = 0;
  for (unsigned i = 0; i < width; ++i) {
    value |=
        offset + i < space.size() ? std::to_integer<std::uint32_t>(space[offset + i]) << (8 * i) : 0xffU << (8 * i);
  }
  return value;
}

actors::settings world::settings_for(const setting& how) {
  actors::settings all;
  all.topology = how.topology;
  all.guests.push_back({"netbsd", false});
  return all;
}

world::world(const card& which, const setting& kind, complaints& found)
    : deterministic_daemon(settings_for(kind)), what(which), how(kind), wrong(found), address(which.model.address) {
  if (what.model.physical_function) {
    auto physical = platform::sim::place(*platform::sim::builtin_model("nvme"), *what.model.physical_function);
    host.add_function(std::move(physical), "nvme");
  }
  host.add_function(what.model, "driver");
  if (what.flr_kills) {
    host.pci().take_resets(address);
    host.pci().add_reset_option(address, {pci::reset_method::flr, {}});
    host.pci().add_reset_option(address, {pci::reset_method::bus, {}});
    host.pci().make_fatal(address, pci::reset_method::flr);
  }
}

world::~world() {
  for (const auto& each : violations_.texts) {
    wrong.add("Xen, the kernel or the guest would not survive: " + each);
  }
}

space_bytes world::space() {
  space_bytes all(what.model.config.size());
  for (std::size_t offset = 0; offset < all.size(); offset += 4) {
    const auto value = hardware(static_cast<std::uint16_t>(offset), 4);
    for (unsigned i = 0; i < 4; ++i) {
      all[offset + i] = static_cast<std::byte>(value >> (8 * i));
    }
  }
  return all;
}

std::uint32_t world::hardware(std::uint16_t offset, unsigned width) {
  return host.xen().config_read(address, 0, offset, width).value_or(pci::all_bits(width));
}

void world::set_permissive(bool on) {
  pci::policy_change change;
  change.permissive = on;
  const auto done = ask_device<void>(address, messages::policy_atom_v, change);
  wrong.expect(done.has_value(), "permissive cannot be switched {}", on ? "on" : "off");
}

messages::domain_id world::create_guest(const std::string& name) { return host.create_domain(name); }

bool world::give_as_toolstack(messages::domain_id domain) {
  const auto attached = host.toolstack_attach(domain, address, true);
  run();
  return wrong.expect(attached.has_value(), "xl cannot give it: {}", attached ? "" : pci::to_string(attached.error()));
}

void world::check_clean(messages::domain_id domain) {
  const bool held = wait_until_held(address);
  const auto seen = function(address);
  wrong.expect(held, "it is {} after its guest has ended: {}", to_string(seen.state), seen.detail);
  wrong.expect(!seen.domain && seen.vectors.empty() && seen.mode == pci::interrupt_mode::intx,
               "the daemon still has something of the last guest's");
  const auto facts = host.xen().facts(address);
  if (!facts) {
    return wrong.add("it is gone");
  }
  wrong.expect(facts->owner == platform::domid_io, "domain {} owns it", facts->owner);
  wrong.expect(facts->vectors == 0, "{} vectors are mapped", facts->vectors);
  wrong.expect(!facts->poisoned, "Xen masks its MSI-X");
  wrong.expect(!host.xen().domain(domain), "the domain is a zombie");
  wrong.expect(host.xen().holdings(domain) == platform::sim::domain_holdings{}, "the domain still holds something");
  wrong.expect(host.grant_table().mapped(domain) == 0, "{} pages are mapped", host.grant_table().mapped(domain));
  wrong.expect(host.channels().bound() == 0, "{} event channels are bound", host.channels().bound());
  wrong.expect(!host.xenstore().list(fmt::format("/local/domain/0/backend/pci/{}", domain)),
               "its backend directory is there");
}

space_bytes world::reference_of(space_bytes loaded) const {
  const auto put = [&](std::size_t offset, unsigned width, std::uint64_t value) {
    for (unsigned i = 0; i < width; ++i) {
      loaded.at(offset + i) = static_cast<std::byte>(value >> (8 * i));
    }
  };
  const bool bridge = description.header_layout() == 1;
  auto command = value_in(loaded, reg::command, 2) & ~unsigned{reg::command_intx_disable};
  command &= bridge ? ~0U : ~unsigned{reg::command_master};
  for (std::size_t i = 0; i < (bridge ? 2U : 6U) && !description.is_virtual(); ++i) {
    const auto& bar = description.resources.at(i);
    if (!pci::usable(bar)) {
      continue;
    }
    command |= bar.is_io() ? reg::command_io : reg::command_memory;
    const auto offset = reg::bar0 + 4 * i;
    const auto type = value_in(loaded, offset, 4) & (bar.is_io() ? 0x3U : 0xfU);
    if (!pci::is_fixed(bar)) {
      put(offset, (bar.flags & pci::resource::memory_64) != 0 ? 8 : 4, bar.start | type);
    }
  }
  put(reg::command, 2, command);
  return loaded;
}

void world::check_space(const space_bytes& reference, bool freely) {
  const auto now = space();
  const auto said = function(address).detail;
  for (std::size_t offset = 0; offset < now.size(); offset += 4) {
    const auto at = static_cast<std::uint16_t>(offset);
    const auto different =
        (value_in(now, offset, 4) ^ value_in(reference, offset, 4)) & ~changing_bits(description, at);
    const auto name = pci::register_name(description, at);
    if (different != 0 && !freely && is_vendors_own(description, at)) {
      wrong.expect(said.find(name + " reads ") != std::string::npos,
                   "nobody says that {:03x} ({}) is another than before", offset, name);
      continue;
    }
    wrong.expect(different == 0, "{:03x} ({}) reads {:08x}, not {:08x}", offset, name, value_in(now, offset, 4),
                 value_in(reference, offset, 4));
  }
}

} // namespace cards
