// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "platform/host.hpp"
#include "platform/sim/clock.hpp"
#include "platform/sim/delivery.hpp"
#include "platform/sim/doorbell.hpp"
#include "platform/sim/event_channels.hpp"
#include "platform/sim/grants.hpp"
#include "platform/sim/hypervisor.hpp"
#include "platform/sim/pci_host.hpp"
#include "platform/sim/removal_guards.hpp"
#include "platform/sim/store.hpp"

namespace platform::sim {

/// A whole Xen host in memory: the hypervisor, xenstored, dom0's kernel, PCI functions and domains. What the daemon
/// needs is in the base class; the rest builds the world around it and looks at it.
class host final : public platform::host {
public:
  explicit host(clock::kind time = clock::kind::manual);

  sim::xenstored& store_daemon() { return store_; }
  platform::store& xenstore() override { return store_.for_domain(0); }
  /// As the toolstack and whoever else in dom0 has a connection.
  platform::store& tools() { return store_.for_toolstack(); }
  sim::event_channels& channels() override { return channels_; }
  sim::grants& grant_table() override { return grants_; }
  sim::hypervisor& xen() override { return xen_; }
  sim::pci_host& pci() override { return pci_; }
  sim::line_interrupts& lines() override { return lines_; }
  sim::removal_guards& guards() override { return guards_; }
  const sim::clock& time() const override { return clock_; }
  sim::clock& time() { return clock_; }

  pci::result<void> start(event_sink& sink) override;
  void stop() override;
  /// The daemon's process ends without a word: its ports, watches and uio descriptors go. Its mappings of grants end
  /// with the objects that hold them. The functions stay held.
  void end_daemon();
  /// Tells the daemon of what uio has counted; false: nothing. By itself, on a thread of the host's, when the clock is
  /// a real one; by hand when everything runs in one thread.
  bool deliver_lines();

  // Functions
  /// With `driver` dom0's kernel has bound that driver to it; `uses_line`: with a handler on the line.
  void add_function(device_model model, const std::string& driver = {}, bool uses_line = false);
  /// Hot-unplug, as the kernel does it: its driver goes, the removal waits while the function is guarded, and only then
  /// is Xen told. Removals go one after the other. False: no such function.
  bool remove_function(const pci::sbdf& address);
  /// What writing sriov_numvfs does: makes that many virtual functions of a physical one, where its capability says and
  /// with the ids that it gives, or with 0 removes all. dom0's driver of the physical function takes none of them.
  /// False: no such function, or not so many.
  bool set_virtual_functions(const pci::sbdf& physical, unsigned count);
  /// The driver is unbound from the function, and removes its virtual functions first if it is one of those that do.
  void unbind_driver(const pci::sbdf& address, bool removes_virtual_functions);

  // Errors of functions
  /// An error with all that dom0's kernel makes of it when pci-stub or uio_pci_generic holds the function: it tells of
  /// it, resets the bus below the nearest bridge if it is fatal, and gives its recovery up.
  void inject_error(const pci::sbdf& address, pci::error_severity severity, const std::string& status = "Poisoned TLP");
  /// Its parts.
  void report_error(const pci::sbdf& address, pci::error_severity severity, const std::string& status);
  /// dom0 sleeps and wakes up: all functions lose their registers, of which its kernel puts back the header of each, if
  /// it is `restored`, and nothing of interrupts that are no driver's of its own.
  void sleep(bool restored = true);
  void end_recovery(const pci::sbdf& address);
  /// The daemon's connection to xenstored is lost, and comes back.
  void lose_xenstored(const std::string& reason = "xenstored does not answer");
  void regain_xenstored();

  // Domains
  /// Builds a domain with the nodes that libxl gives it; returns its number.
  domain_id create_domain(const std::string& name);
  domain_id create_domain(const domain_options& options);
  /// Xen destroys the domain; it stays, dying, while its memory is mapped. Its own nodes go, the toolstack's stay.
  void destroy(domain_id domain);
  /// The domain has ended by itself (power off, crash) but is not destroyed yet.
  void shut_down(domain_id domain);
  [[nodiscard]] std::shared_ptr<doorbell> bell(domain_id domain) const;

  // What xl does (toolstack.cpp); each fails like libxl, and leaves behind what libxl leaves.
  /// Gives the function to the domain. `at_boot`: while the domain is built. EBUSY: another has it; EAGAIN: the backend
  /// is not Connected (libxl waits 10 s for that) and nothing was done.
  [[nodiscard]] pci::result<void> toolstack_attach(domain_id domain, const pci::sbdf& address, bool at_boot);
  /// The hypervisor's half and the request to the backend; then `toolstack_finish_detach`, when the backend is in state
  /// 4 again. EAGAIN: the backend is not Connected; the function is gone from the domain, its nodes stay.
  [[nodiscard]] pci::result<void> toolstack_detach(domain_id domain, const pci::sbdf& address);
  [[nodiscard]] pci::result<void> toolstack_finish_detach(domain_id domain, const pci::sbdf& address);
  /// Both, waiting for the backend in between.
  [[nodiscard]] pci::result<void> toolstack_detach(domain_id domain, const pci::sbdf& address, waiter& wait);
  // The same for an HVM guest (hvm_toolstack.cpp). What its device model does is an `emulator`'s.
  /// Its device model runs in dom0: access, assignment, and nodes for which nobody waits.
  [[nodiscard]] pci::result<void> toolstack_attach_hvm(domain_id domain, const pci::sbdf& address);
  /// The device model has let go, or (as while the guest is destroyed) not: the nodes go at once.
  [[nodiscard]] pci::result<void> toolstack_detach_hvm(domain_id domain, const pci::sbdf& address);
  /// First the stub domain gets nodes and access; then, when its backend is in state 4, the guest gets the assignment.
  [[nodiscard]] pci::result<void> toolstack_attach_stub(domain_id stub, domain_id target, const pci::sbdf& address);
  [[nodiscard]] pci::result<void> toolstack_attach_target(domain_id target, const pci::sbdf& address);
  /// The end of `xl destroy`: destroys the domain and removes its directories except the backend's.
  void toolstack_destroy(domain_id domain);
  /// The state node of the domain's PCI backend; 0 when there is none.
  [[nodiscard]] int backend_state(domain_id domain);

private:
  /// What the kernel has still to do about functions that come and go, in this order: it has one lock for all.
  struct departure {
    pci::sbdf address;
    bool removal = true;                ///< otherwise its driver alone goes
    bool begun = false;                 ///< its driver has gone, and that was told
    std::function<void()> arrival = {}; ///< or a function that comes meanwhile
    bool waits = false;                 ///< that its removal is held up was told
  };
  void depart(departure what);
  void go_on_with_departures();
  void appear(device_model model, const std::string& driver, bool uses_line);
  void wait_for_lines(const std::stop_token& stop);
  void finish_domain(domain_id domain);
  void make_domain_nodes(domain_id domain, const domain_options& options);
  [[nodiscard]] pci::result<void> give_access(domain_id domain, const pci::sbdf& address, bool allow);
  [[nodiscard]] pci::result<void> add_device_nodes(domain_id domain, const pci::sbdf& address, bool at_boot);
  [[nodiscard]] pci::result<void> remove_device_nodes(domain_id domain, const pci::sbdf& address);
  [[nodiscard]] std::optional<unsigned> device_index(domain_id domain, const pci::sbdf& address);

  sim::clock clock_;
  delivery delivery_;
  sim::xenstored store_;
  sim::event_channels channels_;
  sim::hypervisor xen_;
  sim::grants grants_;
  sim::pci_host pci_;
  sim::line_interrupts lines_;
  sim::removal_guards guards_;
  std::jthread line_thread_; ///< between start and stop, with a real clock
  std::mutex departures_mutex_;
  std::deque<departure> departures_;

  mutable std::mutex mutex_;
  std::map<domain_id, std::shared_ptr<doorbell>> bells_;
  std::vector<std::pair<std::string, std::string>> waiting_; ///< watch events before `start`
  domain_id next_domain_ = 1;
};

/// "/local/domain/0/backend/pci/N/0" and "/local/domain/N/device/pci/0".
[[nodiscard]] std::string backend_path(domain_id domain);
[[nodiscard]] std::string frontend_path(domain_id domain);

} // namespace platform::sim
