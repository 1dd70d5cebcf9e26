// What root does first: it takes up what the journal of an earlier instance says.
#include "actors/root/root.hpp"

#include <cerrno>

#include <spdlog/spdlog.h>

#include "actors/errand.hpp"

namespace actors {

caf::result<void> root_state::restore() {
  // Answered when the last of those that wait lets go of it.
  std::shared_ptr<caf::response_promise> last(new caf::response_promise(self_->make_response_promise()),
                                              [](caf::response_promise* promise) {
                                                promise->deliver(caf::unit);
                                                delete promise;
                                              });
  const caf::result<void> later = *last;
  run_on<std::vector<function_record>>(
      all_->store_worker, self_,
      [all = all_]() -> pci::result<std::vector<function_record>> { return all->journal->load(); },
      [this, last](const pci::result<std::vector<function_record>>& found) {
        for (const auto& each : found.value_or(std::vector<function_record>{})) {
          restore(each, last);
        }
      });
  return later;
}

void root_state::restore(const function_record& what, std::shared_ptr<caf::response_promise> last) {
  const auto address = what.function.address;
  if (stopping_ || devices_.contains(address)) {
    return;
  }
  auto device = start_device(address);
  devices_.emplace(address, held{device, 0});
  if (what.domain && !gone(*all_, *what.domain)) {
    spdlog::warn("{}: domain {} has it from an earlier instance; it is left alone until that guest ends",
                 pci::to_string(address), *what.domain);
    self_->send(device, messages::inherit_atom_v, *what.domain);
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
