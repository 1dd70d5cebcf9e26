// What root does first: it takes up what the journal of an earlier instance says.
#include "actors/root/root.hpp"

#include <cerrno>

#include <spdlog/spdlog.h>

#include "actors/errand.hpp"
#include "actors/xenstore/toolstack_nodes.hpp"

namespace actors {

caf::result<void> root_state::restore() {
  // Answered when the last of those that wait lets go of it.
  std::shared_ptr<caf::response_promise> last(new caf::response_promise(self_->make_response_promise()),
                                              [](caf::response_promise* promise) {
                                                promise->deliver(caf::unit);
                                                delete promise;
                                              });
  caf::result<void> later = *last;
  run_on<std::vector<remembered>>(
      all_->store_worker, self_, [all = all_] { return recall(*all); },
      [this, last](const pci::result<std::vector<remembered>>& found) {
        for (const auto& each : found.value_or(std::vector<remembered>{})) {
          restore(each, last);
        }
      });
  return later;
}

pci::result<std::vector<root_state::remembered>> root_state::recall(const environment& all) {
  std::vector<remembered> found;
  for (auto& record : all.journal->load()) {
    const auto address = record.function.address;
    if (const auto driver = noted_driver(all.host.xenstore(), address); !driver.empty()) {
      all.host.pci().remember_driver(address, driver);
    }
    admission as_it_was; // for one that is not there any more
    as_it_was.what = pci::identity_of(record.function);
    auto what = admit(all.host, all.configuration, address).value_or(std::move(as_it_was));
    what.physical_function = record.function.physical_function;
    found.push_back({std::move(record), std::move(what)});
  }
  return found;
}

void root_state::restore(const remembered& each, std::shared_ptr<caf::response_promise> last) {
  const auto& [record, what] = each;
  const auto address = record.function.address;
  if (stopping_ || devices_.contains(address)) {
    return;
  }
  const auto inherited = record.domain && !gone(*all_, *record.domain);
  if (!inherited && !what.objection.empty()) {
    spdlog::error("{} is not held again: {}", pci::to_string(address), what.objection);
    all_->journal->forget(address);
    return refuse(what);
  }
  auto device = start_device(address, what.wanted);
  devices_.emplace(address, held{device, what.wanted, what.physical_function});
  if (inherited) {
    spdlog::warn("{}: domain {} has it from an earlier instance; it is left alone until that guest ends",
                 pci::to_string(address), *record.domain);
    self_->send(device, messages::inherit_atom_v, *record.domain);
    return;
  }
  self_->request(device, caf::infinite, messages::hold_atom_v, false)
      .then([last, address] { spdlog::info("{} is held again", pci::to_string(address)); },
            [this, last, address](caf::error& error) {
              const auto why = messages::to_failure(error, "its actor ended");
              spdlog::error("{} is not held again: {}", pci::to_string(address), pci::to_string(why));
              if (why.error == ENODEV || why.error == EBUSY) { // it is not there, or somebody has taken it back
                all_->journal->forget(address);
              }
            });
}

} // namespace actors
