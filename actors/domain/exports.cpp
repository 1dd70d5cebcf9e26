// SPDX-License-Identifier: GPL-2.0-or-later
// The devices of a guest: how a domain actor leases them, shows them and returns them.
#include "actors/domain/domain.hpp"

#include <cerrno>

#include <fmt/format.h>

#include "actors/jobs.hpp"
#include "actors/xenstore/guest_kind.hpp"
#include "pci/protocol/xenstore_paths.hpp"

namespace actors {

using pci::xenbus_state;

namespace {

constexpr auto initialising = xenbus_state::initialising;
constexpr auto closing = xenbus_state::closing;

pci::node_write state_of(unsigned index, xenbus_state state) {
  return {pci::node::numbered(pci::node::state, index), fmt::format("{}", static_cast<unsigned>(state))};
}

} // namespace

// `again`: after a reconnection the devices' own states are 3 already, and the nodes are written once more.
void domain_state::export_devices(const pci::xenbus_nodes& nodes, bool again, std::optional<xenbus_state> then,
                                  bool all_or_nothing) {
  auto work = std::make_shared<batch>();
  work->nodes = nodes;
  work->then = then;
  work->all_or_nothing = all_or_nothing;
  for (const auto& node : nodes.devices) {
    if (node.state == initialising || (again && node.state == xenbus_state::initialised)) {
      work->arriving.push_back(node);
    }
  }
  export_next(work);
}

void domain_state::reconfigure(const pci::xenbus_nodes& nodes, xenbus_state then, bool arrivals) {
  auto work = std::make_shared<batch>();
  work->nodes = nodes;
  work->then = then;
  work->refused = !arrivals;
  std::vector<pci::sbdf> leaving;
  for (const auto& node : nodes.devices) {
    // By the host's address: the index of a device changes when another one leaves.
    if (const auto host = pci::parse_node_sbdf(node.dev); node.state == closing && host && exports_.contains(*host)) {
      leaving.push_back(*host);
    } else if (node.state == initialising) {
      work->arriving.push_back(node);
    }
  }
  return_leases(leaving, [this, work] { export_next(work); });
}

void domain_state::export_next(batch_ptr work) {
  if (work->next == work->arriving.size()) {
    return work->adopts ? adopted(work) : commit(work);
  }
  const auto node = work->arriving[work->next++];
  work->expected.push_back({pci::node::numbered(pci::node::dev, node.index), node.dev});
  const auto host = pci::parse_node_sbdf(node.dev);
  if (!host) {
    return export_failed(work, node, host.error());
  }
  if (work->refused) {
    return export_failed(work, node, {EOPNOTSUPP, "it must not gain functions while it runs (hot_plug = false)"});
  }
  if (const auto known = exports_.find(*host); known != exports_.end()) {
    return export_done(work, node, known->second.virtual_address);
  }
  self_->request(root_, caf::infinite, messages::find_atom_v, *host)
      .then([this, work, node,
             host = *host](messages::device_actor device) { lease_next(work, node, host, std::move(device)); },
            [this, work, node](caf::error& error) {
              export_failed(work, node, messages::to_failure(error, "the daemon is stopping"));
            });
}

void domain_state::lease_next(batch_ptr work, const pci::device_nodes& node, const pci::sbdf& host,
                              messages::device_actor device) {
  if (work->knows_guest) {
    return give_again(work, node, host, device, {domain_, node.permissive, target_, guest_});
  }
  run_on<guest_kind>(
      all_->store_worker, self_, [all = all_, domain = domain_] { return kind_of(all->host, domain); },
      [this, work, node, host, device = std::move(device)](const pci::result<guest_kind>& guest) {
        if (!guest) {
          return export_failed(work, node, guest.error());
        }
        work->knows_guest = true;
        target_ = guest->target;
        guest_ = describe(*guest);
        self_->seen().is("domain", guest_);
        give_again(work, node, host, device, {domain_, node.permissive, target_, guest_});
      });
}

// A toolstack gives the guest in Xen what it adds. What the guest has had and lost, as when it took its own state away,
// Xen has given to nobody since, and no toolstack comes.
void domain_state::give_again(batch_ptr work, const pci::device_nodes& node, const pci::sbdf& host,
                              messages::device_actor device, const messages::lease_request& request) {
  if (node.state != xenbus_state::initialised || work->adopts || request.target) {
    return request_lease(work, node, host, device, request);
  }
  self_->request(device, caf::infinite, messages::grant_atom_v, domain_)
      .then([this, work, node, host, device, request] { request_lease(work, node, host, device, request); },
            [this, work, node, host, device, request](const caf::error& error) {
              const auto why = messages::to_failure(error, "the function's actor ended");
              if (why.error == EBUSY) { // this guest or another has it, as the lease will show
                return request_lease(work, node, host, device, request);
              }
              export_failed(work, node, why);
            });
}

void domain_state::request_lease(batch_ptr work, const pci::device_nodes& node, const pci::sbdf& host,
                                 messages::device_actor device, const messages::lease_request& request) {
  // No time-out: it waits for the end of a scrub, whose every step the kernel bounds, or until a device model lets go.
  self_->request(device, caf::infinite, messages::lease_atom_v, request)
      .then([this, work, node, host, device](messages::lease lease) { leased(work, node, host, device, lease); },
            [this, work, node](caf::error& error) {
              export_failed(work, node, messages::to_failure(error, "the function's actor ended"));
            });
}

void domain_state::leased(batch_ptr work, const pci::device_nodes& node, const pci::sbdf& host,
                          messages::device_actor device, messages::lease lease) {
  const auto seen = place(*work, node, host, lease);
  if (!seen) {
    returned_.insert_or_assign(host, device);
    self_->send(device, messages::return_atom_v, lease);
    return export_failed(work, node, seen.error());
  }
  self_->send(device, messages::place_atom_v, lease, *seen);
  self_->monitor(device);
  if (connection_) {
    connection_->show(*seen, lease.access);
  }
  exports_.insert_or_assign(host, exported{std::move(device), lease, *seen});
  export_done(work, node, *seen);
}

// A guest that runs sees its functions where they were.
pci::result<pci::sbdf> domain_state::place(const batch& work, const pci::device_nodes& node, const pci::sbdf& host,
                                           const messages::lease& lease) {
  topology_.remove(host); // what has been kept for it
  if (!work.adopts) {
    return topology_.add(host, {lease.is_virtual_function, lease.bridges, node.vdevfn});
  }
  return pci::parse_node_sbdf(node.vdev).and_then([&](const pci::sbdf& seen) {
    return topology_.adopt(host, seen, lease.is_virtual_function).map([&] { return seen; });
  });
}

void domain_state::export_done(batch_ptr work, const pci::device_nodes& node, const pci::sbdf& virtual_address) {
  work->writes.push_back({pci::node::numbered(pci::node::vdev, node.index), pci::to_vdev_string(virtual_address)});
  if (!node.vdevfn) { // xl pci-list shows it
    work->writes.push_back(
        {pci::node::numbered(pci::node::vdevfn, node.index), fmt::format("{:x}", virtual_address.devfn)});
  }
  work->writes.push_back(state_of(node.index, xenbus_state::initialised));
  export_next(std::move(work));
}

void domain_state::export_failed(batch_ptr work, const pci::device_nodes& node, const pci::failure& why) {
  const pci::failure told{why.error, fmt::format("cannot give the guest {}: {}", node.dev, why.context)};
  if (work->adopts) { // its state is as it was, and so is what the guest sees of it
    report(told);
    work->incomplete = true;
    return export_next(std::move(work));
  }
  if (work->all_or_nothing) {
    return return_leases(all_exports(), [this, work, told] { fail(work->nodes, told); });
  }
  // One device that cannot be added must not cost the guest those that it has.
  report(told);
  work->writes.push_back(state_of(node.index, xenbus_state::closed));
  export_next(std::move(work));
}

// Before the guest looks, the order in which its functions came makes no difference to where it sees them.
void domain_state::settle_places(batch& work) {
  topology_.settle();
  for (auto& [host, where] : exports_) {
    const auto place = topology_.virtual_address(host).value_or(where.virtual_address);
    if (std::exchange(where.virtual_address, place) == place) {
      continue;
    }
    self_->send(where.device, messages::place_atom_v, where.lease, place);
    for (const auto& node : work.nodes.devices) {
      if (pci::parse_node_sbdf(node.dev) == host) {
        work.expected.push_back({pci::node::numbered(pci::node::dev, node.index), node.dev});
        work.writes.push_back({pci::node::numbered(pci::node::vdev, node.index), pci::to_vdev_string(place)});
        work.writes.push_back({pci::node::numbered(pci::node::vdevfn, node.index), fmt::format("{:x}", place.devfn)});
      }
    }
  }
}

void domain_state::commit(batch_ptr work) {
  const bool looked = connection_ != nullptr;
  if (!looked) {
    settle_places(*work);
  }
  for (auto& write : pci::root_writes(work->nodes.roots, topology_.roots(), looked)) {
    work->writes.push_back(std::move(write));
  }
  if (work->then) {
    work->writes.push_back({pci::node::state, fmt::format("{}", static_cast<unsigned>(*work->then))});
  }
  write_and_look(work->nodes.backend, std::move(work->writes), std::move(work->expected));
}

std::vector<pci::sbdf> domain_state::all_exports() const {
  std::vector<pci::sbdf> all;
  for (const auto& [host, where] : exports_) {
    all.push_back(host);
  }
  return all;
}

domain_state::exported domain_state::forget_export(const pci::sbdf& host) {
  auto node = exports_.extract(host);
  recovery_.forget(host);
  topology_.remove(host);
  if (connection_) {
    connection_->show(node.mapped().virtual_address, nullptr);
  }
  return std::move(node.mapped());
}

void domain_state::return_leases(const std::vector<pci::sbdf>& which, std::function<void()> then) {
  auto left = std::make_shared<std::size_t>(which.size());
  if (*left == 0) {
    return then();
  }
  auto next = [left, then = std::move(then)] {
    if (--*left == 0) {
      then();
    }
  };
  for (const auto& host : which) {
    const auto gone = forget_export(host);
    self_->demonitor(gone.device.address());
    returned_.insert_or_assign(host, gone.device);
    self_->request(gone.device, caf::infinite, messages::return_atom_v, gone.lease).then(next, [next](caf::error&) {
      next();
    });
  }
}

} // namespace actors
