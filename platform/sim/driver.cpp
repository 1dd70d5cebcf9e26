// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/sim/driver.hpp"

#include <cerrno>
#include <numeric>

#include <fmt/format.h>

#include "pci/config_space/registers.hpp"

namespace platform::sim {

namespace reg = pci::reg;

namespace {

pci::result<void> failed(const char* what, const reply& answer) {
  return pci::fail(EIO, fmt::format("{}: error {}{}", what, answer.error, answer.timed_out ? ", timed out" : ""));
}

} // namespace

pci::result<void> driver::enable() {
  if (front_->find(function_) == nullptr)
    return pci::fail(ENODEV, "the guest has not found the function");
  const auto old = front_->read(function_, reg::command, 2);
  if (!old.good())
    return failed("read COMMAND", old);
  const auto wanted = (old.value & 0xffffU) | reg::command_io | reg::command_memory;
  if (const auto done = front_->write(function_, reg::command, 2, wanted); !done.good())
    return failed("enable decoding", done);
  if (const auto done = front_->write(function_, reg::command, 2, wanted | reg::command_master); !done.good())
    return failed("enable mastering", done);
  return {};
}

pci::result<void> driver::take_msix(std::uint16_t vectors) {
  const auto at = front_->find(function_)->capabilities.at(reg::cap_msix);
  const auto control = front_->read(function_, at + reg::message_control, 2);
  if (!control.good())
    return failed("read MSI-X control", control);
  const auto table = static_cast<std::uint16_t>((control.value & reg::msix_table_size) + 1);
  std::vector<std::uint16_t> entries(std::min(vectors, table));
  std::iota(entries.begin(), entries.end(), std::uint16_t{0});
  const auto answer = front_->enable_msix(function_, entries);
  if (!answer.good())
    return failed("enable_msix", answer);
  kind_ = interrupt_kind::msix;
  pirqs_ = answer.vectors;
  return {};
}

pci::result<void> driver::take_line() {
  const auto pirq = front_->find(function_)->interrupt_line;
  if (pirq == 0)
    return pci::fail(ENODEV, "no interrupt");
  if (auto bound = front_->bind_pirq(pirq); !bound)
    return bound;
  kind_ = interrupt_kind::intx;
  pirqs_ = {pirq};
  return {};
}

pci::result<void> driver::probe(std::uint16_t vectors) {
  if (auto enabled = enable(); !enabled)
    return enabled;
  if (!front_->uses_messages())
    return take_line();
  const auto& capabilities = front_->find(function_)->capabilities;
  if (capabilities.contains(reg::cap_msix))
    if (auto taken = take_msix(vectors))
      return taken;
  if (capabilities.contains(reg::cap_msi))
    if (const auto answer = front_->enable_msi(function_); answer.good()) {
      kind_ = interrupt_kind::msi;
      pirqs_ = {static_cast<std::uint16_t>(answer.value)};
      return {};
    }
  return take_line();
}

pci::result<void> driver::probe_as_nvme() {
  if (auto enabled = enable(); !enabled)
    return enabled;
  if (!front_->uses_messages() || !front_->find(function_)->capabilities.contains(reg::cap_msix))
    return take_line();
  if (auto one = take_msix(1); !one)
    return one;
  if (const auto given_back = front_->disable(function_, pci::op_code::disable_msi); !given_back.good())
    return failed("disable_msi", given_back);
  return take_msix(2);
}

void driver::remove() {
  if (kind_ == interrupt_kind::intx)
    for (const auto pirq : pirqs_)
      front_->unbind_pirq(pirq);
  else if (kind_ != interrupt_kind::none)
    (void)front_->disable(function_);
  kind_ = interrupt_kind::none;
  pirqs_.clear();
  const auto command = front_->read(function_, reg::command, 2);
  if (command.good())
    (void)front_->write(function_, reg::command, 2, command.value & ~std::uint32_t{reg::command_master});
}

std::uint64_t driver::interrupts() const {
  std::uint64_t sum = 0;
  for (const auto pirq : pirqs_)
    sum += front_->interrupts(pirq);
  return sum;
}

} // namespace platform::sim
