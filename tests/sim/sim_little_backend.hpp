// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <charconv>
#include <map>

#include <fmt/format.h>

#include "sim/sim_support.hpp"

namespace sim_test {

/// Just enough of a backend to try the simulated frontends on: passes configuration accesses through and maps vectors
/// without any of a real backend's care.
class little_backend {
public:
  little_backend(sim::host& host, domain_id guest) : host_(&host), guest_(guest), path_(sim::backend_path(guest)) {}

  bool answering = true; ///< false: lets operations lie
  bool notifying = true; ///< false: answers without an event
  unsigned answered = 0;
  std::vector<std::uint32_t> codes;

  /// One piece of work; false: nothing to do.
  bool step() { return serve() || negotiate(); }
  void set_state(int state) { (void)host_->xenstore().write(path_ + "/state", std::to_string(state)); }
  pci::wire::shared_info& shared() { return *static_cast<pci::wire::shared_info*>(page_->address()); }
  void notify() { (void)channel_->notify(); }
  void forget() { disconnect(); }

private:
  int number(const std::string& path) {
    const auto text = host_->xenstore().read(path);
    int value = 0;
    if (text)
      std::from_chars(text->data(), text->data() + text->size(), value);
    return value;
  }

  bool negotiate() {
    const auto own = number(path_ + "/state"), front = number(sim::frontend_path(guest_) + "/state");
    if (own == 1 || own == 2 || ((own == 5 || own == 6) && front == 1))
      return disconnect(), export_all(), set_state(3), true;
    if (own == 3 && front == 3)
      return connect(), set_state(4), true;
    if (own == 7 && front == 7)
      return export_all(), set_state(8), true;
    if (own == 8 && front == 4)
      return set_state(4), true;
    if ((front == 5 || front == 6) && own != front && own >= 3)
      return disconnect(), set_state(front), true;
    return false;
  }

  void export_all() {
    (void)host_->xenstore().write(path_ + "/root-0", "0000:00");
    (void)host_->xenstore().write(path_ + "/root_num", "1");
    for (int i = 0; i < number(path_ + "/num_devs"); ++i) {
      const auto state = fmt::format("{}/state-{}", path_, i);
      const auto vdev = fmt::format("{}/vdev-{}", path_, i);
      if (number(state) == 1) {
        const auto address = pci::parse_sbdf(host_->xenstore().read(fmt::format("{}/dev-{}", path_, i)).value_or(""));
        const auto seen = pci::make_sbdf(0, 0, next_slot_++, 0);
        places_[seen] = *address;
        (void)host_->xenstore().write(vdev, pci::to_vdev_string(seen));
        (void)host_->xenstore().write(state, "3");
      } else if (number(state) == 5) {
        places_.erase(*pci::parse_node_sbdf(host_->xenstore().read(vdev).value_or("")));
      }
    }
  }

  void connect() {
    const auto front = sim::frontend_path(guest_);
    page_ = *host_->grant_table().map(guest_, static_cast<std::uint32_t>(number(front + "/pci-op-ref")));
    channel_ =
        *host_->channels().bind_interdomain(guest_, static_cast<std::uint32_t>(number(front + "/event-channel")));
  }
  void disconnect() {
    channel_.reset();
    page_.reset();
  }

  bool serve() {
    if (page_ == nullptr || !answering)
      return false;
    pci::shared_page page(page_->address());
    if (!page.active())
      return false;
    const auto taken = page.take();
    codes.push_back(taken.what.code);
    (void)page.publish(taken.key, operate(taken));
    ++answered;
    channel_->unmask();
    if (notifying)
      notify();
    return true;
  }

  pci::answer operate(const pci::shared_page::taken& taken) {
    const auto place =
        places_.find({static_cast<std::uint16_t>(taken.key.domain), static_cast<std::uint8_t>(taken.key.bus),
                      static_cast<std::uint8_t>(taken.key.devfn)});
    if (place == places_.end())
      return {pci::op_error::dev_not_found, 0, {}};
    auto port = *host_->pci().open_config(place->second);
    const auto& what = taken.what;
    const auto offset = static_cast<std::uint16_t>(what.offset);
    const auto size = static_cast<unsigned>(what.size);
    switch (static_cast<pci::op_code>(what.code)) {
    case pci::op_code::conf_read: {
      const auto value = port->read(offset, size);
      return value ? pci::answer{pci::op_error::success, *value, {}}
                   : pci::answer{pci::op_error::invalid_offset, 0, {}};
    }
    case pci::op_code::conf_write:
      // BARs and ROM stay where they are.
      if (offset < 0x10 || offset >= 0x34)
        (void)port->write(offset, size, what.value);
      return {pci::op_error::success, what.value, {}};
    case pci::op_code::enable_msi: {
      const auto pirq = host_->xen().map_msi(guest_, place->second);
      pirqs_.push_back(pirq.value_or(std::uint16_t{0}));
      return pirq ? pci::answer{pci::op_error::success, *pirq, {}} : pci::answer{pci::op_error::op_failed, 0, {}};
    }
    case pci::op_code::enable_msix:
      return enable_msix(place->second, what.entries);
    case pci::op_code::disable_msi:
    case pci::op_code::disable_msix:
      for (const auto pirq : std::exchange(pirqs_, {}))
        (void)host_->xen().unmap_pirq(guest_, pirq);
      return {};
    default:
      return {pci::op_error::not_implemented, 0, {}};
    }
  }

  pci::answer enable_msix(const pci::sbdf& address, const std::vector<std::uint16_t>& entries) {
    const auto what = *host_->pci().describe(address);
    sim::device_model model;
    model.address = address;
    model.config = what.config;
    model.resources = what.resources;
    const sim::device device(model);
    const auto base = what.resources[device.read(device.msix() + 4U, 4) & 7U].start;
    pci::answer answer;
    for (const auto entry : entries) {
      const auto pirq = host_->xen().map_msix(guest_, address, entry, base);
      if (!pirq)
        return {pci::op_error::op_failed, 0, {}};
      pirqs_.push_back(*pirq);
      answer.vectors.push_back(*pirq);
    }
    return answer;
  }

  sim::host* host_;
  domain_id guest_;
  std::string path_;
  std::unique_ptr<mapped_page> page_;
  std::unique_ptr<event_channel> channel_;
  std::map<pci::sbdf, pci::sbdf> places_;
  std::uint8_t next_slot_ = 0;
  std::vector<std::uint16_t> pirqs_;
};

} // namespace sim_test
