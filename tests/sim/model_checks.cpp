// SPDX-License-Identifier: GPL-2.0-or-later
// What must be true after each move and in the end, and what tells one state of the world from another.
#include "model_world.hpp"

#include <algorithm>

#include "actors/xenstore/backend_nodes.hpp"
#include "actors/xenstore/guest_view.hpp"
#include "actors/xenstore/toolstack_nodes.hpp"
#include "pci/protocol/xenstore_paths.hpp"

namespace model {

using namespace std::chrono_literals;
using messages::function_state;

namespace {

void replace_all(std::string& text, const std::string& what, const std::string& by) {
  for (auto at = text.find(what); at != text.npos; at = text.find(what, at + by.size())) {
    text.replace(at, what.size(), by);
  }
}

std::string name_of(const pci::sbdf& function) { return function == test::nic ? "the card" : "the disk"; }

} // namespace

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
    const auto user = std::ranges::find_if(all.domains, has);
    if (users == 1 && facts && facts->owner != user->domain && !not_given_.contains(each.address)) {
      found.push_back(
          fmt::format("{} is leased to domain {}, and domain {}'s in Xen", name, user->domain, facts->owner));
    }
    if (users == 0) {
      not_given_.erase(each.address);
    }
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
        host.xenstore().list(pci::paths::view(domain))) {
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
