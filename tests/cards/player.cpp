// SPDX-License-Identifier: GPL-2.0-or-later
#include "player.hpp"

#include <functional>

#include "guest.hpp"

namespace cards {
namespace {

using platform::sim::flavour;

const char* name_of(flavour kind) {
  switch (kind) {
  case flavour::linux:
    return "linux";
  case flavour::mini_os:
    return "mini-os";
  case flavour::netbsd:
    return "netbsd";
  case flavour::freebsd:
    return "freebsd";
  }
  return "";
}

/// A card that nobody can hold is refused with the reason, and is dom0's as before.
bool holds(world& in) {
  const auto held = in.hold(in.address);
  const auto reason = held ? std::string{} : pci::to_string(held.error());
  if (in.what.refusal.empty()) {
    return in.wrong.expect(held.has_value(), "it cannot be held: {}", reason);
  }
  in.wrong.expect(!held && reason.find(in.what.refusal) != std::string::npos, "it is not refused as \"{}\" but \"{}\"",
                  in.what.refusal, reason);
  in.wrong.expect(in.host.pci().driver(in.address).value_or("") == "driver", "dom0's driver has not got it back");
  in.wrong.expect(in.host.xen().facts(in.address)->owner == 0, "it was quarantined");
  return false;
}

/// The daemon's own attach answers when the guest sees the function, so the guest has to be started meanwhile.
bool give_as_daemon(world& in, messages::domain_id domain, guest& to) {
  caf::scoped_actor asker(in.system, true);
  auto pending = asker->request(in.root, caf::infinite, messages::attach_atom_v, domain, in.address);
  in.run();
  const auto connected = to.front().connect();
  in.wrong.expect(connected.has_value(), "the guest does not connect: {}",
                  connected ? "" : pci::to_string(connected.error()));
  if (!in.wait_until([&] { return asker->has_next_message(); }, std::chrono::minutes(2))) {
    in.wrong.add("attach is not answered");
    return false;
  }
  bool good = false;
  pending.receive([&](const pci::sbdf&) { good = true; },
                  [&](caf::error& why) { in.wrong.add("attach: " + messages::to_failure(why, "").context); });
  return good && connected.has_value();
}

void live(world& in, unsigned seed, bool permissive, const space_bytes& reference) {
  in.wrong.enter(fmt::format("{}, {}", in.how.name, permissive ? "permissive" : "strict"));
  in.set_permissive(permissive);
  const auto domain = in.create_guest(name_of(in.how.kind));
  {
    guest one(in, domain, std::mt19937{seed + (permissive ? 1U : 0U)});
    bool has = false;
    if (permissive) {
      has = give_as_daemon(in, domain, one);
    } else if (in.give_as_toolstack(domain)) {
      const auto connected = one.front().connect();
      has = in.wrong.expect(connected.has_value(), "the guest does not connect: {}",
                            connected ? "" : pci::to_string(connected.error()));
    }
    if (has && one.finds_card()) {
      if (!permissive) { // the other life sees the same
        one.scan();
      }
      one.size_registers();
      one.use_memory();
      one.toggle_messages();
      one.write_at_random(permissive);
    }
    in.wrong.expect(one.front().timeouts() == 0, "{} operations timed out", one.front().timeouts());
    in.host.toolstack_destroy(domain);
  }
  (void)in.host.xenstore().remove(fmt::format("/libxl/pci/{:04x}-{:02x}-{:02x}-{:x}", in.address.segment,
                                              in.address.bus, in.address.slot(), in.address.function()));
  in.check_clean(domain);
  in.check_space(reference, permissive);
}

} // namespace

const std::vector<setting>& settings() {
  using enum pci::topology_mode;
  static const std::vector<setting> all{{"Linux", flavour::linux, vpci},
                                        {"Linux with the host's topology", flavour::linux, passthrough},
                                        {"mini-os", flavour::mini_os, vpci},
                                        {"NetBSD", flavour::netbsd, vpci},
                                        {"FreeBSD", flavour::freebsd, vpci}};
  return all;
}

void play(const card& what, const setting& how, unsigned seed, complaints& wrong) {
  wrong.enter(how.name);
  world in(what, how, wrong);
  const auto loaded = in.space();
  if (!holds(in)) {
    return;
  }
  in.description = *in.host.pci().describe(in.address);
  const auto reference = in.reference_of(loaded);
  in.check_space(reference, false);
  live(in, seed, false, reference);
  live(in, seed, true, reference);
  wrong.enter(how.name);
  const auto released = in.release(in.address);
  wrong.expect(released.has_value(), "dom0 does not get it back: {}", released ? "" : pci::to_string(released.error()));
  in.run();
  in.check_space(reference, true);
  wrong.expect(in.host.pci().driver(in.address).value_or("") == "driver", "dom0's driver has not got it back");
  const auto facts = in.host.xen().facts(in.address);
  wrong.expect(facts && facts->owner == 0 && !facts->prepared, "Xen does not have it as dom0's");
}

} // namespace cards
