// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/sim/device.hpp"

#include <algorithm>
#include <utility>

#include "pci/config_space/registers.hpp"

namespace platform::sim {

namespace reg = pci::reg;

namespace {

constexpr std::uint16_t flr = 0x8000;           // DEVCTL, Initiate Function Level Reset
constexpr std::uint32_t flr_capable = 1U << 28; // DEVCAP

/// The model is of a function that did not answer: powered off.
bool is_silent(const device_model& model) {
  constexpr std::size_t looked_at = 16; // a virtual function's ids are ones too
  return std::all_of(model.config.begin(), model.config.begin() + looked_at,
                     [](std::byte each) { return each == std::byte{0xff}; });
}

/// IORESOURCE_PCI_FIXED: by Enhanced Allocation, and the register reads 0 for ever (PCI Express Base 5.0, 7.8.5).
constexpr std::uint64_t fixed = 0x10;

/// What kind a BAR is, is wired: a card that has forgotten where its BARs are can still tell.
device_model with_wired_bits(device_model model) {
  const bool bridge = (std::to_integer<unsigned>(model.config.at(reg::header_type)) & reg::header_layout) == 1;
  for (std::size_t i = 0; i < (bridge ? 2U : 6U) && !model.physical_function && !is_silent(model); ++i) {
    const auto& resource = model.resources.at(i);
    auto& lowest = model.config.at(reg::bar0 + 4 * i);
    if (resource.size() != 0 && (resource.flags & fixed) == 0 && (lowest & std::byte{0xf}) == std::byte{0})
      lowest |= resource.is_io() ? std::byte{1} : static_cast<std::byte>(resource.flags & 0xeU);
    if ((resource.flags & pci::resource::memory_64) != 0)
      ++i;
  }
  return model;
}

} // namespace

device::device(device_model model) : model_(with_wired_bits(std::move(model))), config_(model_.config) {
  msi_ = capability(reg::cap_msi);
  msix_ = capability(reg::cap_msix);
  pm_ = capability(reg::cap_pm);
  vpd_ = capability(reg::cap_vpd);
  express_ = capability(reg::cap_express);
  allow_header();
  allow_capabilities();
  allow_message_interrupts();
  keep_headers();
  allow_extended();
  boot();
}

std::uint32_t device::read(std::size_t offset, unsigned width) const {
  if (is_silent(model_))
    return 0xffffffffU >> (32 - 8 * width);
  std::uint32_t value = 0;
  for (unsigned i = 0; i < width && offset + i < config_.size(); ++i)
    value |= std::to_integer<std::uint32_t>(config_[offset + i]) << (8 * i);
  for (unsigned i = 0; i < 2 && stuck_ != 0; ++i)
    if (stuck_at_ + i >= offset && stuck_at_ + i < offset + width)
      value |= (stuck_ >> (8 * i) & 0xffU) << (8 * (stuck_at_ + i - offset));
  return value;
}

void device::put(std::size_t offset, unsigned width, std::uint32_t value) {
  for (unsigned i = 0; i < width && offset + i < config_.size(); ++i)
    config_[offset + i] = static_cast<std::byte>(value >> (8 * i));
}

void device::write(std::size_t offset, unsigned width, std::uint32_t value) {
  if (is_silent(model_))
    return;
  const unsigned power_state = pm_ == 0 ? 0 : read(pm_ + reg::pmcsr, 2) & reg::pmcsr_state;
  const auto wakes = std::size_t{pm_} + reg::pmcsr; // in D3hot it takes nothing else
  for (unsigned i = 0; i < width; ++i) {
    const auto at = offset + i;
    if (power_state == 3 && at != wakes && at != wakes + 1)
      continue;
    const auto next = static_cast<std::uint8_t>(value >> (8 * i));
    std::uint8_t writable = 0, clear = 0;
    if (at < writable_.size()) {
      writable = writable_[at];
      clear = clear_[at];
    } else {
      for (const auto& rule : extended_)
        if (at >= rule.offset && at < rule.offset + 4U) {
          writable = static_cast<std::uint8_t>(rule.writable >> (8 * (at - rule.offset)));
          clear = static_cast<std::uint8_t>(rule.clear >> (8 * (at - rule.offset)));
        }
    }
    const auto old = std::to_integer<std::uint8_t>(config_[at]);
    const auto kept = static_cast<std::uint8_t>(old & ~writable & ~(clear & next));
    config_[at] = static_cast<std::byte>(kept | (next & writable));
  }
  if (power_state != 3 || (offset <= wakes && wakes < offset + width))
    after_write(offset, width, power_state);
}

void device::after_write(std::size_t offset, unsigned width, unsigned old_power_state) {
  const auto touches = [&](std::size_t first, std::size_t size) {
    return offset < first + size && first < offset + width;
  };
  if (express_ != 0 && touches(express_ + 9U, 1) && (word(express_ + 8U) & flr) != 0)
    reset();
  if (pm_ != 0 && touches(pm_ + 4U, 1) && model_.loses_state_in_d3 && old_power_state == 3 &&
      (word(pm_ + 4U) & reg::pmcsr_state) == 0)
    reset();
  if (vpd_ != 0 && touches(vpd_ + 3U, 1)) {
    // The flag says which way the data go, and turns over when they are there (PCI 3.0 appendix I).
    const auto address = word(vpd_ + 2U);
    if ((address & 0x8000) != 0)
      ++vpd_writes_;
    else
      put(vpd_ + 4U, 4, 0x56504400U | (address & 0xffU));
    put(vpd_ + 2U, 2, address ^ 0x8000U);
  }
}

void device::stick(std::size_t offset, std::uint16_t bits) {
  stuck_at_ = offset;
  stuck_ = bits;
}

void device::set_command(std::uint16_t set, std::uint16_t clear) { force_word(reg::command, set, clear); }

void device::force_word(std::size_t offset, std::uint16_t set, std::uint16_t clear) {
  put(offset, 2, (word(offset) & ~static_cast<std::uint32_t>(clear)) | set);
}

/// As the firmware and the kernel leave a function at boot: BARs assigned, nothing enabled, whatever ran when the dump
/// was taken.
void device::boot() {
  put(reg::command, 2, 0);
  put(reg::status, 2, read(reg::status, 2) & ~static_cast<std::uint32_t>(reg::status_rw1c | reg::status_interrupt));
  if (msi_ != 0)
    force_word(msi_ + reg::message_control, 0, reg::msi_enable);
  if (msix_ != 0)
    force_word(msix_ + reg::message_control, 0, reg::msix_enable | reg::msix_mask_all);
  if (pm_ != 0)
    force_word(pm_ + reg::pmcsr, 0, reg::pmcsr_state | reg::pmcsr_pme_enable);
}

void device::reset() {
  ++resets_;
  config_ = model_.config;
  boot();
  // Every writable register starts at 0; what a BAR is stays in its low bits, which are not writable.
  for (std::size_t i = 0; i < writable_.size(); ++i)
    config_[i] &= static_cast<std::byte>(~writable_[i]);
  for (const auto& rule : extended_)
    put(rule.offset, 4, read(rule.offset, 4) & ~rule.writable);
}

bool device::grow_msix() {
  constexpr std::size_t length = 12;
  for (std::size_t at = 0xf0; msix_ == 0 && at >= 0x40; at -= 4) {
    bool free = true;
    for (std::size_t i = 0; i < length; ++i)
      free = free && config_[at + i] == std::byte{0};
    if (!free)
      continue;
    put(at, 4, reg::cap_msix | read(reg::capabilities, 1) << 8U);
    put(reg::capabilities, 1, static_cast<std::uint32_t>(at));
    force_word(reg::status, reg::status_capabilities, 0);
    model_.config = config_;
    msix_ = static_cast<std::uint8_t>(at);
    return true;
  }
  return false;
}

std::uint8_t device::capability(std::uint8_t id) const {
  if ((read(reg::status, 2) & reg::status_capabilities) == 0)
    return 0;
  auto at = read(reg::capabilities, 1) & 0xfcU;
  for (unsigned steps = 0; at >= 0x40 && steps < 48; ++steps) {
    if (read(at, 1) == id)
      return static_cast<std::uint8_t>(at);
    at = read(at + 1U, 1) & 0xfcU;
  }
  return 0;
}

/// Wherever a list says that registers lie: identifiers and pointers are wired.
void device::keep_headers() {
  auto at = (read(reg::status, 2) & reg::status_capabilities) != 0 ? read(reg::capabilities, 1) & 0xfcU : 0U;
  for (unsigned steps = 0; at >= reg::first_capability && steps < 48; ++steps) {
    allow(at, 2, 0);
    at = read(at + 1U, 1) & 0xfcU;
  }
}

void device::allow(std::size_t offset, unsigned width, std::uint32_t writable, std::uint32_t clear) {
  for (unsigned i = 0; i < width && offset + i < writable_.size(); ++i) {
    writable_[offset + i] = static_cast<std::uint8_t>(writable >> (8 * i));
    clear_[offset + i] = static_cast<std::uint8_t>(clear >> (8 * i));
  }
}

void device::allow_header() {
  const bool bridge = (read(reg::header_type, 1) & 0x7fU) == 1;
  // A virtual function's decoding is its physical function's to switch (SR-IOV 1.1, 3.4.1.3).
  allow(reg::command, 2, model_.physical_function ? reg::command_master : express_ != 0 ? 0x0547 : 0x0557);
  allow(reg::status, 2, 0, reg::status_rw1c);
  allow(reg::cache_line_size, 1, 0xff);
  allow(reg::interrupt_line, 1, 0xff);
  allow_bars(bridge ? 2 : 6);
  if (bridge) {
    allow(0x18, 4, 0x00ffffff);
    allow(0x1c, 4, 0x0000f0f0, 0xf9000000);
    allow(0x20, 4, 0xfff0fff0);
    allow(0x24, 4, 0xfff0fff0);
    allow(0x3e, 2, 0x005f);
  }
  const auto rom = model_.resources[pci::function::rom].size();
  if (rom != 0)
    allow(bridge ? reg::rom_type1 : reg::rom_type0, 4, static_cast<std::uint32_t>(~(rom - 1)) | 1U);
}

void device::allow_bars(unsigned count) {
  if (model_.physical_function)
    return; // a virtual function has none: they are in its physical function's capability
  for (unsigned i = 0; i < count; ++i) {
    const auto& resource = model_.resources[i];
    if (resource.size() == 0 || (resource.flags & fixed) != 0)
      continue;
    const auto mask = ~(resource.size() - 1);
    allow(reg::bar0 + 4U * i, 4, static_cast<std::uint32_t>(mask) & (resource.is_io() ? ~3U : ~0xfU));
    if ((resource.flags & pci::resource::memory_64) != 0 && i + 1 < count)
      allow(reg::bar0 + 4U * ++i, 4, static_cast<std::uint32_t>(mask >> 32));
  }
}

void device::allow_capabilities() {
  if (pm_ != 0)
    allow(pm_ + reg::pmcsr, 2, reg::pmcsr_state | reg::pmcsr_pme_enable | reg::pmcsr_data_select,
          reg::pmcsr_pme_status);
  if (vpd_ != 0) {
    allow(vpd_ + 2U, 2, 0xffff);
    allow(vpd_ + 4U, 4, 0xffffffff);
  }
  if (express_ != 0) {
    const bool can_flr = (read(express_ + 4U, 4) & flr_capable) != 0;
    allow(express_ + 8U, 2, can_flr ? 0xffff : 0x7fff);
    allow(express_ + 10U, 2, 0, 0x000f);
    allow(express_ + 16U, 2, 0x01db); // bit 5 retrains the link, and reads 0
    for (const unsigned kept : {8U, 16U})
      kept_.push_back({static_cast<std::uint16_t>(express_ + kept), 2});
    const bool port = (read(express_ + 2U, 2) & 0x0100) != 0; // a slot
    if (port) {
      allow(express_ + 24U, 2, 0x1fff);
      allow(express_ + 28U, 2, 0x001f);
    }
    if ((read(express_ + 2U, 2) & 0xfU) >= 2) { // version 2 has the second ones
      allow(express_ + 40U, 2, 0x041f);
      allow(express_ + 48U, 2, 0x1fff);
      for (const unsigned kept : {40U, 48U})
        kept_.push_back({static_cast<std::uint16_t>(express_ + kept), 2});
    }
  }
}

void device::allow_message_interrupts() {
  if (msi_ != 0) {
    const bool wide = (msi_control() & reg::msi_64) != 0;
    allow(msi_ + 2U, 2, 0x0071);
    allow(msi_ + 4U, 4, 0xfffffffc);
    if (wide)
      allow(msi_ + 8U, 4, 0xffffffff);
    allow(msi_ + (wide ? 12U : 8U), 2, 0xffff);
    if ((msi_control() & reg::msi_maskable) != 0)
      allow(msi_ + (wide ? 16U : 12U), 4, 0xffffffff);
  }
  if (msix_ != 0)
    allow(msix_ + 2U, 2, reg::msix_enable | reg::msix_mask_all);
}

} // namespace platform::sim
