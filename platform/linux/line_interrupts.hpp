// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "platform/linux/descriptor_keeper.hpp"
#include "platform/linux/sysfs.hpp"
#include "platform/pci_host.hpp"

namespace platform::linux_host {

/// How many handlers a line's `actions` file names, without those of uio_pci_generic; `names`, if wanted, gets theirs.
[[nodiscard]] unsigned count_handlers(std::string_view actions, std::string* names = nullptr);
/// Reads /proc/irq/N/spurious: "count 12\nunhandled 3\nlast_unhandled 4 ms". Empty: not of that form.
[[nodiscard]] std::optional<pci::line_counts> parse_counts(std::string_view text);

/// Interrupt lines from /sys/kernel/irq, and the interrupt counters of uio devices. The kernel takes bus mastering from
/// a function when its uio device is closed, a killed daemon's included: so the descriptor is left with a keeper while
/// it is listened to, and had from there by the next daemon. Safe from any thread.
class line_interrupts final : public platform::line_interrupts {
public:
  /// `files` outlives this, and so does `keeper`, if there is one. `devices` is where the uio nodes are.
  [[nodiscard]] static pci::result<std::unique_ptr<line_interrupts>>
  open(sysfs& files, descriptor_keeper* keeper = nullptr, std::filesystem::path devices = "/dev",
       const std::filesystem::path& processes = "/proc");

  [[nodiscard]] pci::line_facts facts(unsigned gsi) override;
  [[nodiscard]] pci::result<pci::line_counts> counts(unsigned gsi) override;
  [[nodiscard]] pci::result<bool> gives_up_lines() override;
  [[nodiscard]] pci::result<void> set_gives_up_lines(bool on) override;
  [[nodiscard]] pci::result<void> listen(const pci::sbdf& address) override;
  /// Closes the uio device, at which the kernel clears the function's bus mastering: not while a guest uses it.
  void ignore(const pci::sbdf& address) override;

  /// Readable while an interrupt waits.
  [[nodiscard]] int descriptor() const { return epoll_.get(); }
  /// Hands each function with interrupts since the last time to `deliver`, without blocking. `deliver` must not call
  /// back.
  void drain(const std::function<void(const pci::sbdf& address)>& deliver);

private:
  line_interrupts(sysfs& files, descriptor_keeper* keeper, std::filesystem::path devices,
                  const std::filesystem::path& processes, platform::descriptor epoll)
      : files_(files), keeper_(keeper), processes_(processes), devices_(std::move(devices)), epoll_(std::move(epoll)) {}
  [[nodiscard]] unsigned count_functions(unsigned gsi) const;
  void take_from(std::map<pci::sbdf, platform::descriptor>::iterator uio,
                 const std::function<void(const pci::sbdf& address)>& deliver);
  void forget(std::map<pci::sbdf, platform::descriptor>::iterator uio);
  [[nodiscard]] platform::descriptor left_by_another(const pci::sbdf& address) const;
  [[nodiscard]] pci::result<platform::descriptor> open_uio(const pci::sbdf& address) const;

  sysfs& files_;
  descriptor_keeper* keeper_;
  sysfs processes_; ///< /proc
  std::filesystem::path devices_;
  platform::descriptor epoll_;
  std::mutex mutex_; ///< of what follows; held while events are taken, so that none comes after `ignore`
  std::map<pci::sbdf, platform::descriptor> uios_;
};

} // namespace platform::linux_host
