// SPDX-License-Identifier: GPL-2.0-or-later
#include "platform/linux/line_interrupts.hpp"

#include <algorithm>
#include <array>
#include <cerrno>

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <fmt/format.h>

#include "platform/linux/pci_host.hpp"

namespace platform::linux_host {
namespace {

/// What epoll gives back with an event: sbdf::machine() in reverse.
pci::sbdf from_machine(std::uint64_t machine) {
  return {static_cast<std::uint16_t>(machine >> 16), static_cast<std::uint8_t>(machine >> 8),
          static_cast<std::uint8_t>(machine)};
}

enum class counter { advanced, unchanged, gone };

counter take(int uio) {
  std::uint32_t interrupts = 0;
  const ssize_t bytes = ::read(uio, &interrupts, sizeof interrupts);
  if (bytes == sizeof interrupts)
    return counter::advanced;
  return bytes < 0 && (errno == EAGAIN || errno == EINTR) ? counter::unchanged : counter::gone;
}

} // namespace

unsigned count_handlers(std::string_view actions, std::string* names) {
  unsigned count = 0;
  while (!actions.empty()) {
    const auto name = actions.substr(0, actions.find(','));
    if (!trim(name).empty() && trim(name) != driver_name(holder::uio)) {
      ++count;
      if (names != nullptr)
        names->append(names->empty() ? "" : ",").append(trim(name));
    }
    actions.remove_prefix(std::min(actions.size(), name.size() + 1));
  }
  return count;
}

std::optional<pci::line_counts> parse_counts(std::string_view text) {
  std::array<std::optional<std::uint64_t>, 2> numbers;
  std::size_t index = 0;
  for (const std::string_view name : {"count ", "unhandled "}) {
    const auto line = text.substr(0, text.find('\n'));
    if (!line.starts_with(name))
      return std::nullopt;
    numbers.at(index) = parse_number(line.substr(name.size()));
    if (!numbers.at(index++))
      return std::nullopt;
    text.remove_prefix(std::min(text.size(), line.size() + 1));
  }
  return pci::line_counts{*numbers[0], *numbers[1]};
}

pci::result<std::unique_ptr<line_interrupts>> line_interrupts::open(sysfs& files, descriptor_keeper* keeper,
                                                                    std::filesystem::path devices,
                                                                    const std::filesystem::path& processes) {
  platform::descriptor epoll{::epoll_create1(EPOLL_CLOEXEC)};
  if (!epoll)
    return pci::fail(errno, "cannot wait for line interrupts");
  return std::unique_ptr<line_interrupts>(
      new line_interrupts(files, keeper, std::move(devices), processes, std::move(epoll)));
}

pci::line_facts line_interrupts::facts(unsigned gsi) {
  if (gsi == 0)
    return {};
  const auto line = "kernel/irq/" + std::to_string(gsi);
  // Not `type`: it says "edge" of every line in a PV dom0.
  const auto name = files_.read(line + "/name");
  const auto actions = files_.read(line + "/actions");
  pci::line_facts facts{.gsi = gsi, .level = name && trim(*name) == "ioapic-level"};
  if (actions)
    facts.dom0_handlers = count_handlers(*actions, &facts.drivers);
  facts.functions = count_functions(gsi);
  return facts;
}

// A function that no driver has enabled yet may show what the firmware left in its register.
unsigned line_interrupts::count_functions(unsigned gsi) const {
  unsigned count = 0;
  for (const auto& address : files_.entries("bus/pci/devices")) {
    const auto irq = files_.read("bus/pci/devices/" + address + "/irq");
    count += irq && parse_number(*irq) == gsi ? 1 : 0;
  }
  return count;
}

pci::result<pci::line_counts> line_interrupts::counts(unsigned gsi) {
  const auto file = fmt::format("irq/{}/spurious", gsi);
  const auto text = processes_.read(file);
  if (!text)
    return tl::unexpected(text.error());
  const auto counts = parse_counts(*text);
  if (!counts)
    return pci::fail(EIO, fmt::format("{} has an unknown format", processes_.path(file).string()));
  return *counts;
}

namespace {

constexpr const char* noirqdebug = "module/spurious/parameters/noirqdebug";

} // namespace

pci::result<bool> line_interrupts::gives_up_lines() {
  return files_.read(noirqdebug).map([](const std::string& text) { return trim(text) != "Y" && trim(text) != "1"; });
}

pci::result<void> line_interrupts::set_gives_up_lines(bool on) { return files_.write(noirqdebug, on ? "N" : "Y"); }

pci::result<platform::descriptor> line_interrupts::open_uio(const pci::sbdf& address) const {
  const auto names = files_.entries(device(address) + "/uio");
  if (names.empty())
    return pci::fail(ENODEV, "no uio device for " + pci::to_string(address));
  const auto node = devices_ / names.front();
  platform::descriptor uio{::open(node.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)};
  if (!uio)
    return pci::fail(errno, fmt::format("open {} for {}", node.string(), pci::to_string(address)));
  return uio;
}

// Of a uio device that was unbound meanwhile, a read fails. One that succeeds takes an interrupt that nobody has
// answered since, and who begins to listen asks for no more.
platform::descriptor line_interrupts::left_by_another(const pci::sbdf& address) const {
  auto uio = keeper_ != nullptr ? keeper_->take(address) : platform::descriptor{};
  return uio && take(uio.get()) != counter::gone ? std::move(uio) : platform::descriptor{};
}

pci::result<void> line_interrupts::listen(const pci::sbdf& address) {
  {
    const std::lock_guard lock(mutex_);
    if (uios_.contains(address))
      return {};
  }
  pci::result<platform::descriptor> uio = left_by_another(address);
  if (!*uio) {
    uio = open_uio(address);
    if (!uio)
      return tl::unexpected(std::move(uio.error()));
    if (keeper_ != nullptr)
      keeper_->keep(address, uio->get());
  }
  const std::lock_guard lock(mutex_);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = address.machine();
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, uio->get(), &event) != 0)
    return pci::fail(errno, "cannot wait for the line interrupts of " + pci::to_string(address));
  uios_.emplace(address, std::move(*uio));
  return {};
}

void line_interrupts::ignore(const pci::sbdf& address) {
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = uios_.find(address); found != uios_.end())
      forget(found);
  }
  if (keeper_ != nullptr)
    keeper_->drop(address);
}

// Its close would not take it out of the epoll set: the keeper has the same file.
void line_interrupts::forget(std::map<pci::sbdf, platform::descriptor>::iterator uio) {
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, uio->second.get(), nullptr);
  uios_.erase(uio);
}

void line_interrupts::drain(const std::function<void(const pci::sbdf& address)>& deliver) {
  const std::lock_guard lock(mutex_);
  // Of one it is known which it is: a system call less for each interrupt.
  if (uios_.size() == 1) {
    take_from(uios_.begin(), deliver);
    return;
  }
  std::array<epoll_event, 16> events;
  const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
  for (int i = 0; i < count; ++i)
    if (const auto uio = uios_.find(from_machine(events.at(static_cast<std::size_t>(i)).data.u64)); uio != uios_.end())
      take_from(uio, deliver);
}

void line_interrupts::take_from(std::map<pci::sbdf, platform::descriptor>::iterator uio,
                                const std::function<void(const pci::sbdf& address)>& deliver) {
  const auto outcome = take(uio->second.get());
  if (outcome == counter::advanced)
    deliver(uio->first);
  else if (outcome == counter::gone)
    forget(uio); // it would be ready for ever
}

} // namespace platform::linux_host
