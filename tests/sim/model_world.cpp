// SPDX-License-Identifier: GPL-2.0-or-later
#include "model_world.hpp"

#include <algorithm>

#include "actors/xenstore/backend_nodes.hpp"
#include "actors/xenstore/toolstack_nodes.hpp"

namespace model {

using namespace std::chrono_literals;
using messages::function_state;
using platform::sim::frontend;

namespace {

constexpr auto poll_pause = 500ms; // no shorter than the polls of whoever waits

actors::settings short_patience() {
  actors::settings settings;
  settings.aer_patience = 2s; // less than what `pass` lets pass
  return settings;
}

/// A driver that wants its function reset, and begins anew with it.
std::optional<std::int32_t> recover(const pci::wire::aer_operation& request) {
  const bool detected = request.cmd == static_cast<std::uint32_t>(pci::op_code::aer_detected);
  return static_cast<std::int32_t>(detected ? pci::recovery_result::need_reset : pci::recovery_result::recovered);
}

} // namespace

world::world() : two_cards(short_patience()) {
  for (const auto& each : functions) {
    REQUIRE(hold(each));
  }
  actors_ = system.registry().running();
}

world::~world() {
  a.front.reset();
  b.front.reset();
  stop_daemon();
  // An administrator's command that is under way ends by itself, when its patience does.
  for (int i = 0; i < 300 && system.registry().running() > 1; ++i) {
    advance(poll_pause);
  }
  violations.texts.clear(); // told by check()
}

// -- the toolstack

bool world::build(guest& who, std::initializer_list<pci::sbdf> wanted) {
  const auto claimed = [&](const pci::sbdf& each) {
    return host.xenstore().read(fmt::format("/libxl/pci/{}/domid", pci::to_libxl_string(each))).has_value();
  };
  if (who.domain != 0 || std::any_of(wanted.begin(), wanted.end(), claimed)) {
    return false;
  }
  who.domain = host.create_domain(&who == &a ? "a" : "b");
  who.runs = true;
  built_.push_back(who.domain);
  for (const auto& each : wanted) {
    static_cast<void>(host.toolstack_attach(who.domain, each, true));
    run();
  }
  return true;
}

bool world::give(guest& who, const pci::sbdf& function) {
  return who.domain != 0 && who.runs && host.toolstack_attach(who.domain, function, {}).has_value();
}

// Another toolstack, or a hand, which does not know libxl's notes.
bool world::claim_unasked(guest& who, const pci::sbdf& function) {
  if (who.domain == 0 || !who.runs || !actors::add_device(host.xenstore(), who.domain, function, {}, true)) {
    return false;
  }
  not_given_.insert(function);
  return true;
}

bool world::begin_taking(guest& who, const pci::sbdf& function) {
  if (who.domain == 0 || !has_nodes(who) || !host.xen().domain(who.domain)) {
    return false;
  }
  const auto asked = host.toolstack_detach(who.domain, function);
  not_given_.insert(function);
  return asked || asked.error().error != ENOENT;
}

bool world::finish_taking(guest& who, const pci::sbdf& function) {
  return who.domain != 0 && backend(who.domain, "state") == "4" &&
         host.toolstack_finish_detach(who.domain, function).has_value();
}

bool world::forget_nodes(guest& who, const pci::sbdf& function) {
  return who.domain != 0 && has_nodes(who) && seen_at(who, function) &&
         actors::remove_device(host.xenstore(), who.domain, function).has_value();
}

bool world::remove_backend(guest& who) {
  return who.domain != 0 && has_nodes(who) &&
         host.xenstore().remove(platform::sim::backend_path(who.domain)).has_value();
}

bool world::write_backend_state(guest& who, const char* state) {
  return who.domain != 0 && has_nodes(who) && backend(who.domain, "state") != state &&
         host.xenstore().write(platform::sim::backend_path(who.domain) + "/state", state).has_value();
}

// What changes nothing, and has the backend look at a guest that came again.
bool world::say_online(guest& who) {
  return who.domain != 0 && has_nodes(who) &&
         host.xenstore().write(platform::sim::backend_path(who.domain) + "/online", "1").has_value();
}

bool world::pause(guest& who, bool paused) {
  if (who.domain == 0 || !who.runs || who.paused == paused) {
    return false;
  }
  who.paused = paused;
  host.xen().pause(who.domain, paused);
  return true;
}

bool world::destroy(guest& who) {
  if (who.domain == 0) {
    return false;
  }
  if (host.xen().domain(who.domain)) {
    host.toolstack_destroy(who.domain);
  } else {
    static_cast<void>(remove_home(who));
  }
  who = {};
  waited_ = false;
  return true;
}

bool world::kill(guest& who) {
  if (who.domain == 0 || !host.xen().domain(who.domain) || host.xen().domain(who.domain)->dying) {
    return false;
  }
  host.destroy(who.domain);
  who.runs = false;
  who.front.reset();
  return true;
}

bool world::remove_home(guest& who) {
  const auto home = fmt::format("/local/domain/{}", who.domain);
  if (who.domain == 0 || !host.xenstore().list(home)) {
    return false;
  }
  static_cast<void>(host.xenstore().remove(home));
  static_cast<void>(host.xenstore().remove(fmt::format("/libxl/{}", who.domain)));
  return true;
}

// -- the guest

bool world::start_frontend(guest& who) {
  if (who.domain == 0 || !who.runs || who.paused || who.front || !has_nodes(who)) {
    return false;
  }
  auto fresh = std::make_unique<frontend>(host, who.domain, *this);
  fresh->scan_on_connect(false); // what it finds is others' concern, and takes time
  fresh->handle_aer(recover);
  if (!fresh->start()) {
    return false;
  }
  who.front = std::move(fresh);
  waited_ = false;
  return true;
}

bool world::react(guest& who) {
  if (!who.runs || who.paused || !who.front || !who.front->service()) {
    return false;
  }
  waited_ = false;
  if (who.front->unplugged()) {
    who.front.reset();
  }
  return true;
}

bool world::can_operate(const guest& who) {
  return who.runs && !who.paused && who.front && who.front->state() == 4 &&
         host.grant_table().mapped(who.domain) != 0 && root && guest_status(who.domain).connected;
}

bool world::take_msix(guest& who, const pci::sbdf& function) {
  const auto seen = seen_at(who, function);
  if (!seen || !can_operate(who)) {
    return false;
  }
  static_cast<void>(who.front->write(*seen, 4, 2, 6));
  return who.front->enable_msix(*seen, {0, 1}).good();
}

bool world::take_msi(guest& who, const pci::sbdf& function) {
  const auto seen = seen_at(who, function);
  if (!seen || !can_operate(who)) {
    return false;
  }
  static_cast<void>(who.front->write(*seen, 4, 2, 6));
  return who.front->enable_msi(*seen).good();
}

bool world::disable(guest& who, const pci::sbdf& function) {
  const auto seen = seen_at(who, function);
  return seen && can_operate(who) && !who.front->pirqs(*seen).empty() && who.front->disable(*seen).good();
}

bool world::leave_operation(guest& who, const pci::sbdf& function) {
  const auto seen = seen_at(who, function);
  if (!seen || !can_operate(who)) {
    return false;
  }
  static_cast<void>(who.front->write(*seen, 4, 2, 6));
  auto what = who.front->make(pci::op_code::enable_msix, *seen);
  what.value = 1;
  who.front->post(what);
  who.front->kick();
  return true;
}

bool world::write_own_state(guest& who, const char* state) {
  if (!who.runs || who.paused || !who.front) {
    return false;
  }
  const auto path = platform::sim::frontend_path(who.domain) + "/state";
  if (!host.xenstore().read(path) || node(path) == state) {
    return false;
  }
  waited_ = false;
  return who.front->write_node("state", state).has_value();
}

bool world::begin_again(guest& who) {
  if (!write_own_state(who, "1")) {
    return false;
  }
  who.front.reset();
  return true;
}

bool world::remove_own_nodes(guest& who) {
  if (!who.runs || who.paused || !who.front) {
    return false;
  }
  who.front.reset();
  return host.store_daemon().for_domain(who.domain).remove(platform::sim::frontend_path(who.domain)).has_value();
}

bool world::end_kernel(guest& who) {
  if (who.domain == 0 || !who.runs) {
    return false;
  }
  who.runs = false;
  who.front.reset();
  host.shut_down(who.domain);
  return true;
}

// -- the administrator, the hardware, time

bool world::ask_attach(guest& who, const pci::sbdf& function) {
  if (who.domain == 0) {
    return false;
  }
  caf::anon_send(root, messages::attach_atom_v, who.domain, function);
  return true;
}

bool world::ask_detach(guest& who, const pci::sbdf& function) {
  if (who.domain == 0 || !seen_at(who, function)) {
    return false;
  }
  caf::anon_send(root, messages::detach_atom_v, who.domain, function);
  return true;
}

bool world::ask_drain(const pci::sbdf& function) {
  caf::anon_send(root, messages::drain_atom_v, function);
  return true;
}

bool world::ask_drain(guest& who) {
  if (who.domain == 0) {
    return false;
  }
  caf::anon_send(root, messages::drain_atom_v, who.domain);
  return true;
}

bool world::ask_release(const pci::sbdf& function) {
  caf::anon_send(root, messages::release_atom_v, function, true);
  return true;
}

bool world::ask_hold(const pci::sbdf& function) {
  caf::anon_send(root, messages::hold_atom_v, function, true);
  return true;
}

bool world::pull(const pci::sbdf& function) {
  if (pulled_ || !host.remove_function(function)) {
    return false;
  }
  pulled_ = true;
  return true;
}

// Of a function that the daemon has: a driver of dom0's would put it in order itself.
bool world::err(const pci::sbdf& function, pci::error_severity severity) {
  const auto facts = host.xen().facts(function);
  if (!facts || !platform::is_holder(facts->driver)) {
    return false;
  }
  host.inject_error(function, severity);
  return true;
}

// Not its guests: what they have stays theirs, and they are served again; what is free is held again.
bool world::restart_daemon() {
  stop_daemon();
  host.end_daemon();
  start_root();
  for (const auto& each : functions) {
    static_cast<void>(hold(each));
  }
  const auto backends = actors::list_backends(host.xenstore()).value();
  for (const auto each : backends) {
    caf::anon_send(root, messages::changed_atom_v, each);
  }
  return true;
}

bool world::pass(std::chrono::milliseconds time) {
  const auto state = a.domain == 0 ? std::string{} : backend(a.domain, "state");
  for (auto left = time; left > 0ms; left -= poll_pause) {
    advance(poll_pause);
  }
  waited_ = waited_ || state == "7" || state == "8";
  return true;
}

} // namespace model
