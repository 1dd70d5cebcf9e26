#include "model_world.hpp"

#include <algorithm>
#include <array>

#include "actors/xenstore/backend_nodes.hpp"
#include "actors/xenstore/guest_view.hpp"
#include "actors/xenstore/toolstack_nodes.hpp"

namespace model {

using namespace std::chrono_literals;
using messages::function_state;
using platform::sim::frontend;

namespace {

constexpr std::array functions{test::nic, test::disk};
constexpr auto step = 500ms; // no shorter than the polls of whoever waits

void replace_all(std::string& text, const std::string& what, const std::string& by) {
  for (auto at = text.find(what); at != text.npos; at = text.find(what, at + by.size())) {
    text.replace(at, what.size(), by);
  }
}

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

std::string name_of(const pci::sbdf& function) { return function == test::nic ? "the card" : "the disk"; }

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
    advance(step);
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
  return who.domain != 0 && who.runs && host.toolstack_attach(who.domain, function, false).has_value();
}

// Another toolstack, or a hand, which does not know libxl's notes.
bool world::claim_unasked(guest& who, const pci::sbdf& function) {
  return who.domain != 0 && who.runs && actors::add_device(host.xenstore(), who.domain, function, false).has_value();
}

bool world::begin_taking(guest& who, const pci::sbdf& function) {
  if (who.domain == 0 || !has_nodes(who) || !host.xen().domain(who.domain)) {
    return false;
  }
  const auto asked = host.toolstack_detach(who.domain, function);
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
  caf::anon_send(root, messages::attach_atom_v, messages::domain_name{std::to_string(who.domain)}, function);
  return true;
}

bool world::ask_detach(guest& who, const pci::sbdf& function) {
  if (who.domain == 0 || !seen_at(who, function)) {
    return false;
  }
  caf::anon_send(root, messages::detach_atom_v, messages::domain_name{std::to_string(who.domain)}, function);
  return true;
}

bool world::ask_release(const pci::sbdf& function) {
  caf::anon_send(root, messages::release_atom_v, function);
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
  if (!facts || (facts->driver != "pci-stub" && facts->driver != "uio_pci_generic")) {
    return false;
  }
  host.inject_error(function, severity);
  return true;
}

// Not its guests: what they have stays theirs, and what is free is held again.
bool world::restart_daemon() {
  stop_daemon();
  host.end_daemon();
  start_root();
  for (const auto& each : functions) {
    static_cast<void>(hold(each));
  }
  return true;
}

bool world::pass(std::chrono::milliseconds time) {
  const auto state = a.domain == 0 ? std::string{} : backend(a.domain, "state");
  for (auto left = time; left > 0ms; left -= step) {
    advance(step);
  }
  waited_ = waited_ || state == "7" || state == "8";
  return true;
}

// -- looking

std::optional<pci::sbdf> world::seen_at(const guest& who, const pci::sbdf& function) {
  for (unsigned i = 0; who.domain != 0 && i < functions.size(); ++i) {
    if (backend(who.domain, fmt::format("dev-{}", i)) == pci::to_string(function)) {
      const auto seen = pci::parse_node_sbdf(backend(who.domain, fmt::format("vdev-{}", i)));
      return seen ? std::optional(*seen) : std::nullopt;
    }
  }
  return std::nullopt;
}

bool world::has_nodes(const guest& who) {
  return host.xenstore().read(platform::sim::backend_path(who.domain) + "/frontend-id").has_value();
}

void world::check_functions(complaints& found) {
  const auto all = status();
  for (const auto& each : all.functions) {
    const auto name = name_of(each.address);
    const auto facts = host.xen().facts(each.address);
    if (each.state == function_state::held && facts && (msi_on(each.address) || msix_on(each.address))) {
      found.push_back(name + " is assignable with MSI enable set");
    }
    if (each.state == function_state::held && facts && masters(each.address)) {
      found.push_back(name + " is assignable with bus mastering on");
    }
    if (each.state == function_state::held && facts && facts->vectors != 0) {
      found.push_back(name + " is assignable with somebody's pirqs mapped");
    }
    const auto has = [&](const auto& guest) {
      return std::ranges::find(guest.functions, each.address) != guest.functions.end();
    };
    const auto users = std::ranges::count_if(all.domains, has);
    if (users > 1) {
      found.push_back(name + " is leased twice");
    }
    if ((each.state == function_state::leased) != (users == 1)) {
      found.push_back(fmt::format("{} is {}, and {} guests have it", name, to_string(each.state), users));
    }
  }
}

void world::check_domains(complaints& found) {
  for (const auto domain : built_) {
    const auto info = host.xen().domain(domain);
    if (info && !info->dying) {
      continue;
    }
    if (!host.xen().holdings(domain).message_pirqs.empty()) {
      found.push_back(fmt::format("pirqs are mapped for the dead domain {}", domain));
    }
    if (host.grant_table().mapped(domain) != 0) {
      found.push_back(fmt::format("a page of the dead domain {} is mapped", domain));
    }
  }
}

void world::notice_stops() {
  for (auto* who : {&a, &b}) {
    const auto info = who->domain == 0 ? std::nullopt : host.xen().domain(who->domain);
    if (who->runs && info && info->shutdown) {
      who->runs = false;
      who->front.reset();
    }
  }
}

complaints world::check() {
  auto found = violations.texts;
  check_functions(found);
  check_domains(found);
  return found;
}

complaints world::check_end() {
  for (auto* who : {&a, &b}) {
    who->front.reset();
    static_cast<void>(destroy(*who));
  }
  static_cast<void>(pass(150s));
  complaints found;
  for (const auto& each : functions) { // what was released, or was a guest's when the daemon was restarted
    if (function(each).state == function_state::failed) {
      static_cast<void>(release(each)); // the way to try again by hand: it says why it was not handed out
    }
    if (const auto held = hold(each); !held && held.error().error == ETIMEDOUT) {
      found.push_back("no answer to the wish to hold " + name_of(each));
    }
  }
  if (!found.empty()) {
    return found;
  }
  found = check();
  for (const auto& each : functions) {
    const auto facts = host.xen().facts(each);
    if (!facts) {
      continue; // pulled
    }
    const auto seen = function(each);
    if (seen.state != function_state::held || facts->vectors != 0 || facts->poisoned ||
        facts->owner != platform::domid_io) {
      found.push_back(fmt::format("{} is {} in the end ({}), {} vectors, owner {:x}{}", name_of(each),
                                  to_string(seen.state), seen.detail, facts->vectors, facts->owner,
                                  facts->poisoned ? ", poisoned" : ""));
    }
    if (!node(fmt::format("/libxl/pci/{}/domid", pci::to_libxl_string(each))).empty()) {
      found.push_back("libxl's note of " + name_of(each) + " is left");
    }
  }
  for (const auto domain : built_) {
    if (backend_exists(domain)) {
      found.push_back(fmt::format("the backend directory of domain {} is left", domain));
    }
    if (host.xenstore().list(fmt::format("/local/domain/0/error/backend/pci/{}", domain)) ||
        host.xenstore().list(actors::view_path(domain))) {
      found.push_back(fmt::format("a node of domain {} is left", domain));
    }
    if (host.xen().domain(domain) || host.xen().holdings(domain) != platform::sim::domain_holdings{}) {
      found.push_back(fmt::format("domain {} is not forgotten", domain));
    }
  }
  if (const auto running = system.registry().running(); running > actors_) {
    found.push_back(fmt::format("{} actors are left", running - actors_));
  }
  for (const auto& each : status().domains) {
    found.push_back(fmt::format("domain {} still has an actor", each.domain));
  }
  return found;
}

// -- the digest

std::string world::call(const guest& who) const { return &who == &a ? "A" : "B"; }

// Without what differs from one world to the next for no reason: numbers of domains, references and ports.
void world::print_store(std::string& out) {
  auto text = host.store_daemon().print();
  for (const auto* who : {&a, &b}) {
    if (who->domain == 0) {
      continue;
    }
    for (const auto* before : {"/domain/", "/pci/", "domid = ", "frontend-id = ", "/libxl/"}) {
      for (const auto* after : {"/", "\n", " "}) {
        replace_all(text, fmt::format("{}{}{}", before, who->domain, after), before + call(*who) + after);
      }
    }
  }
  for (std::size_t begin = 0; begin < text.size();) {
    const auto end = std::min(text.find('\n', begin), text.size() - 1) + 1;
    const auto line = std::string_view(text).substr(begin, end - begin);
    const bool counted = line.find("pci-op-ref") != line.npos || line.find("event-channel") != line.npos;
    out += counted ? line.substr(0, line.find(" = ")) : line;
    begin = end;
  }
}

void world::print_functions(std::string& out) {
  const auto owner_of = [&](messages::domain_id domain) {
    return domain == 0                    ? std::string("-")
           : domain == a.domain           ? "A"
           : domain == b.domain           ? "B"
           : domain == platform::domid_io ? "io"
                                          : "gone";
  };
  for (const auto& each : functions) {
    const auto facts = host.xen().facts(each);
    const auto seen = function(each);
    out += fmt::format("{} {} {} {} {} {}", name_of(each), to_string(seen.state), owner_of(seen.domain.value_or(0)),
                       messages::to_string(seen.mode), seen.vectors.size(), seen.detail);
    if (facts) {
      out += fmt::format(" | {:x} {}{} {} {}{}{} {}", hardware(each, 4, 2), msi_on(each), msix_on(each),
                         owner_of(facts->owner), facts->prepared, facts->poisoned, facts->vectors, facts->driver);
    }
    out += '\n';
  }
}

void world::print_guest(std::string& out, const guest& who, const char* name) {
  if (who.domain == 0) {
    return;
  }
  const auto info = host.xen().domain(who.domain);
  const auto held = host.xen().holdings(who.domain);
  const auto served = guest_status(who.domain);
  out += fmt::format("{} {}{}{} {}{} {} {} {} {} {} {} | {} {} {}\n", name, info.has_value(), info && info->dying,
                     info && info->shutdown, who.runs, who.paused, host.grant_table().mapped(who.domain),
                     held.message_pirqs.size(), held.line_pirqs.size(), held.frames, held.ports, held.functions.size(),
                     served.domain != 0, served.connected, served.functions.size());
  if (who.front) {
    out += fmt::format("{} {} {} {}", who.front->state(), who.front->backend_state(), who.front->unplugged(),
                       who.front->flags());
    for (const auto& slot : {test::first_slot, test::second_slot}) {
      out += fmt::format(" {}", who.front->pirqs(slot).size());
    }
    out += '\n';
  }
}

std::string world::digest() {
  notice_stops();
  std::string out;
  print_store(out);
  print_functions(out);
  print_guest(out, a, "A");
  print_guest(out, b, "B");
  out += fmt::format("{} {} {}\n", waited_, pulled_, system.registry().running());
  return out;
}

} // namespace model
