// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "platform/clock.hpp"
#include "platform/hypervisor.hpp"
#include "platform/sim/device.hpp"
#include "platform/sim/doorbell.hpp"
#include "platform/sim/genirq.hpp"
#include "platform/sim/ranges.hpp"

namespace platform::sim {

enum class domain_kind : std::uint8_t { pv, hvm, pvh };

/// How a domain is built.
struct domain_options {
  std::string name;
  domain_kind kind = domain_kind::pv;
  std::optional<domain_id> target; ///< it is the stub domain of this one
  std::string uuid;                ///< empty: its vm node is missing
  bool passthrough = true;         ///< the domain has an IOMMU context: passthrough="enabled"
  unsigned extra_pirqs = 32;       ///< Xen's extra_guest_irqs=
};

/// What a domain still holds; all 0 and empty when nothing was left behind.
struct domain_holdings {
  std::vector<std::uint16_t> message_pirqs; ///< of MSI and MSI-X
  std::vector<std::uint16_t> line_pirqs;
  std::uint64_t frames = 0; ///< of permitted I/O memory
  std::uint64_t ports = 0;
  std::vector<std::uint32_t> irqs; ///< permitted lines
  std::vector<pci::sbdf> functions;
  friend bool operator==(const domain_holdings&, const domain_holdings&) = default;
};

/// Xen's and the kernel's idea of one function; for tests.
struct function_facts {
  domain_id owner = 0;
  bool prepared = false;
  bool poisoned = false; ///< Xen's host_maskall
  unsigned vectors = 0;  ///< mapped, of any domain
  std::string driver;
  unsigned resets = 0;
  std::uint64_t line_interrupts = 0; ///< that its dom0 driver got and claimed
  unsigned vpd_writes = 0;
  bool sleeps = false; ///< in D3hot
  bool enabled = false, suspends = true,
       loses_power = true; ///< in dom0's kernel: `enable`, power/control, d3cold_allowed
};

/// One interrupt line of the host, in dom0.
struct line_counters {
  std::uint64_t delivered = 0; ///< interrupts that dom0's handlers were run for
  std::uint64_t unhandled = 0; ///< as the kernel counts it
  bool disabled = false;       ///< dom0's kernel gave the line up: "nobody cared"
};

/// The simulated Xen with the machine's PCI functions in it: who owns them, which pirqs are mapped, where interrupts
/// go. It refuses what Xen refuses, and calls `violation` where Xen would not survive. Thread-safe.
class hypervisor final : public platform::hypervisor {
public:
  static constexpr unsigned gsis = 24; ///< of the machine's IO-APIC

  /// Without `time` no time passes. It outlives this.
  explicit hypervisor(const clock* time = nullptr) : time_(time) {}

  // What the daemon calls
  pci::result<std::uint16_t> map_msi(domain_id domain, const pci::sbdf& address) override;
  pci::result<std::uint16_t> map_msix(domain_id domain, const pci::sbdf& address, std::uint16_t entry,
                                      std::uint64_t table_base) override;
  pci::result<void> unmap_pirq(domain_id domain, std::uint16_t pirq) override;
  pci::result<void> prepare_msix(const msix_function& function) override;
  pci::result<void> release_msix(const msix_function& function) override;
  pci::result<void> restore_msi(const restorable_function& function) override;
  pci::result<void> assign(domain_id domain, const pci::sbdf& address, pci::rdm_policy rdm) override;
  pci::result<void> deassign(domain_id domain, const pci::sbdf& address) override;
  /// Tells no more than Xen does: not which guest.
  pci::result<bool> has_guest(const pci::sbdf& address) override;
  /// Of domains that were built with the default, as Xen knows but one number.
  unsigned vectors_a_guest() override { return domain_options{}.extra_pirqs; }
  /// Those that the simulation itself may use.
  unsigned processors() override;
  pci::result<void> permit_memory(domain_id domain, std::uint64_t first, std::uint64_t count, bool allow) override;
  pci::result<void> permit_ports(domain_id domain, std::uint32_t first, std::uint32_t count, bool allow) override;
  pci::result<void> permit_irq(domain_id domain, std::uint32_t pirq, bool allow) override;
  pci::result<void> map_gsi(domain_id domain, std::uint32_t gsi) override;
  pci::result<bool> line_shared(std::uint32_t gsi) override;
  pci::result<void> pause(domain_id domain) override;
  /// The toolstack is told by `when_crashed`.
  pci::result<void> crash(domain_id domain) override;
  std::optional<domain_info> domain(domain_id domain) override;

  // Domains
  void add_domain(domain_id domain, const domain_options& options, std::shared_ptr<doorbell> bell);
  /// The first half of a domain's death: dying, its pirqs unbound, its functions in quarantine with whatever they do.
  void kill(domain_id domain);
  /// The second half, when nobody maps its memory any more: its pirqs are freed. Does nothing to a living domain.
  void finish(domain_id domain);
  void shut_down(domain_id domain);
  /// By a toolstack, which does not end bus mastering first.
  pci::result<void> toolstack_deassign(domain_id domain, const pci::sbdf& address);
  /// By a toolstack. What a paused guest does meanwhile is a test's mistake: nothing stops it here.
  void pause(domain_id domain, bool paused);
  void when_crashed(std::function<void(domain_id)> then) { when_crashed_ = std::move(then); }

  // What a guest calls
  /// EVTCHNOP_bind_pirq. EINVAL: beyond its pirqs, or not mapped; EPERM: not permitted; EEXIST: bound already.
  [[nodiscard]] pci::result<void> bind_pirq(domain_id domain, std::uint32_t pirq);
  void unbind_pirq(domain_id domain, std::uint32_t pirq);
  /// Interrupts that the guest got on the pirq.
  [[nodiscard]] std::uint64_t received(domain_id domain, std::uint32_t pirq) const;
  [[nodiscard]] bool may_access(domain_id domain, std::uint64_t frame) const;
  /// The numbers of the pirqs that the domain has of the function's messages, whoever mapped them.
  [[nodiscard]] std::vector<std::uint16_t> pirqs_of(domain_id domain, const pci::sbdf& address) const;
  /// The guest makes a page-table entry for the frame. True: one through which it can write, now and later on.
  [[nodiscard]] bool map_writable(domain_id domain, std::uint64_t frame) const;
  /// Called when a function is not prepared for MSI-X any more, outside every lock: what a guest's other processor does
  /// in that moment.
  void when_unprotected(std::function<void(const pci::sbdf&)> then) { when_unprotected_ = std::move(then); }

  // What the hardware does. True when somebody got the interrupt; otherwise it is counted as lost.
  /// An MSI-X entry's message, or with entry 0 the MSI message.
  bool raise(const pci::sbdf& address, std::uint16_t entry = 0);
  /// The function pulls its line, and pulls until `lower_intx`.
  /// `guest_first`: its guest's driver serves it, which lowers it, before dom0's handlers have looked.
  bool raise_intx(const pci::sbdf& address, bool guest_first = false);
  void lower_intx(const pci::sbdf& address);
  [[nodiscard]] std::uint64_t lost() const { return lost_; }
  /// The functions for which uio has counted interrupts since the last call: its descriptors are readable then.
  [[nodiscard]] std::vector<pci::sbdf> take_claimed();
  [[nodiscard]] bool any_claimed() const;
  /// Rung for each of them.
  [[nodiscard]] doorbell& claimed_bell() { return claimed_bell_; }

  // The machine, as dom0's kernel sees it
  void add_function(device_model model);
  /// PHYSDEVOP_pci_device_remove: with it Xen destroys the interrupts of MSI and MSI-X that are still mapped, and does
  /// not survive what touches one of them afterwards.
  bool remove_function(const pci::sbdf& address);
  /// False: it had none.
  bool unbind_driver(const pci::sbdf& address);
  [[nodiscard]] std::vector<pci::sbdf> functions() const;
  /// As a PV dom0 does it: writes go through Xen's filter. `serial` 0: whatever is there now.
  [[nodiscard]] pci::result<std::uint32_t> config_read(const pci::sbdf& address, std::uint64_t serial,
                                                       std::uint16_t offset, unsigned width);
  [[nodiscard]] pci::result<void> config_write(const pci::sbdf& address, std::uint64_t serial, std::uint16_t offset,
                                               unsigned width, std::uint32_t value);

  // For tests
  [[nodiscard]] domain_holdings holdings(domain_id domain) const;
  [[nodiscard]] std::optional<function_facts> facts(const pci::sbdf& address) const;
  [[nodiscard]] line_counters line(unsigned gsi) const;
  [[nodiscard]] std::uint64_t hypercalls() const { return hypercalls_; }
  [[nodiscard]] std::uint64_t config_accesses() const { return config_accesses_; }
  /// The next hypercall, after `skip` more, fails with `error`.
  void fail_next(int error, unsigned skip = 0);
  /// Every hypercall of this name ("unmap_pirq", "assign_device", ...) fails with `error` from now on; 0: none any
  /// more.
  void fail_call(std::string name, int error);
  /// Xen drives no IOMMU: whatever concerns one fails with EOPNOTSUPP, for DOMID_IO too. False: it drives one again.
  void drive_no_iommu(bool none = true);
  /// Every configuration write that touches this register fails likewise.
  void fail_config_write(const pci::sbdf& address, std::uint16_t offset, int error);
  /// The function has reserved memory (RMRR) that other functions use too.
  void share_reserved_memory(const pci::sbdf& address);
  /// From now on each of the daemon's accesses to the function's configuration space takes this long, as with a link
  /// that is being trained; others' accesses do not wait for it. Needs a real clock.
  void slow_down(const pci::sbdf& address, std::chrono::nanoseconds access);
  void take_access_time(const pci::sbdf& address);
  /// See device::stick.
  void stick(const pci::sbdf& address, std::uint16_t offset, std::uint16_t bits);
  /// The next `reads` reads of the function's configuration space have no answer: all ones.
  void mute(const pci::sbdf& address, unsigned reads);
  /// The same each time that it leaves D3hot.
  void mute_after_wake(const pci::sbdf& address, unsigned reads);
  /// The card shows an MSI-X capability that it has not had: by new firmware, or by a back door.
  void grow_msix(const pci::sbdf& address);
  /// Sets a register past what can be written.
  void set_register(const pci::sbdf& address, std::uint16_t offset, unsigned width, std::uint32_t value);

private:
  friend class pci_host;
  friend class line_interrupts;

  struct vector_mapping {
    domain_id domain;
    std::uint16_t pirq;
    bool is_msix;
    std::uint16_t entry;
    bool programmed; ///< a reset of the function loses what Xen wrote
    unsigned irq;    ///< Xen's own number
  };
  struct function_state {
    function_state(device_model model, std::uint64_t number) : hardware(std::move(model)), serial(number) {}
    device hardware;
    std::uint64_t serial; ///< another one after a hot-unplug
    domain_id owner = 0;
    bool had_msix = false; ///< when Xen first saw it: later growth has no structure in Xen
    unsigned mute = 0, mute_after_wake = 0;
    bool dead = false; ///< it answers nothing until it is reset by a method that it survives
    bool prepared = false;
    bool ever_prepared = false; ///< Xen remembers the table's address, and trusts it no more after a release
    bool host_maskall = false;
    std::vector<vector_mapping> vectors;
    std::string driver;
    std::string home_driver; ///< what the kernel binds when nobody holds the function
    std::string needed_for;  ///< by dom0; empty: nothing
    bool home_uses_line = false;
    bool uses_line = false; ///< the dom0 driver has a handler on the line
    bool listening = false;
    bool asserted = false;
    bool has_handler = false; ///< on its line, dom0's driver or uio
    std::uint64_t line_interrupts = 0;
    bool enabled = false;                     ///< by dom0's kernel: its GSI is registered
    bool suspends = true, loses_power = true; ///< power/control is "auto", d3cold_allowed
    bool shares_reserved_memory = false;
  };
  struct pirq_state {
    bool is_line = false;
    pci::sbdf function{}; ///< messages only
    bool bound = false;
    std::uint64_t received = 0;
    bool destroyed = false; ///< the function went before it
  };
  struct domain_state {
    domain_options options;
    std::shared_ptr<doorbell> bell;
    bool dying = false;
    bool shutdown = false;
    bool paused = false;
    std::map<std::uint16_t, pirq_state> pirqs;
    std::map<std::uint16_t, unsigned> forced; ///< unmapped while the guest had them bound: the irq of each
    ranges memory, ports;
    std::set<std::uint32_t> irqs;
    [[nodiscard]] unsigned nr_pirqs() const { return gsis + options.extra_pirqs; }
  };

  // All of these with the lock held.
  [[nodiscard]] pci::result<void> enter(const char* call, const pci::sbdf* address = nullptr);
  [[nodiscard]] function_state* find(const pci::sbdf& address);
  [[nodiscard]] const function_state* find(const pci::sbdf& address) const;
  [[nodiscard]] domain_state* find(domain_id domain);
  [[nodiscard]] bool decodes_memory(const function_state& function) const;
  [[nodiscard]] std::optional<std::uint16_t> free_pirq(const domain_state& domain) const;
  [[nodiscard]] unsigned free_irq() const;
  /// The frames of its MSI-X table and pending bits.
  [[nodiscard]] static std::vector<std::uint64_t> message_frames(const device& hardware);
  /// A guest that runs may map them, while Xen looks at nothing.
  void check_window(const function_state& function, const std::string& where) const;
  [[nodiscard]] static bool has_msix_vectors(const function_state& function);
  [[nodiscard]] pci::result<void> check_msix_map(function_state& function, std::uint16_t entry,
                                                 std::uint64_t table_base);
  [[nodiscard]] pci::result<std::uint16_t> bind_vector(domain_id domain, domain_state& to, function_state& function,
                                                       bool is_msix, std::uint16_t entry);
  void release_vector(function_state& function, const vector_mapping& vector);
  static void poison(function_state& function);
  /// deassign_device, whoever calls it.
  [[nodiscard]] pci::result<void> take(domain_id domain, const pci::sbdf& address);
  [[nodiscard]] pci::result<void> check_assign(domain_id domain, const function_state& function, pci::rdm_policy rdm);
  static void touch(domain_id domain, std::uint16_t number, const pirq_state& pirq, const char* where);
  [[nodiscard]] static bool filter(const function_state& function, std::uint16_t offset, unsigned width,
                                   std::uint32_t& value);
  void message_reset(function_state& function);
  /// What a reset by the daemon must not find: a guest whose device model uses the function, or has vectors of it.
  void check_reset(const function_state& function) const;
  /// What has to follow each change of a function's driver: its handler comes or goes.
  void update_handler(function_state& function);
  bool evaluate_line(function_state& function, std::vector<pci::sbdf>& to_tell, bool guest_first = false);
  /// Runs one function's handler; returns whether it claimed.
  bool run_handler(function_state& function, std::vector<pci::sbdf>& to_tell);
  bool deliver_to_guests(unsigned gsi);
  bool deliver_to_dom0(unsigned gsi, std::vector<pci::sbdf>& to_tell);
  void tell(const std::vector<pci::sbdf>& lines);

  struct line_state {
    genirq_line watch;
    std::uint64_t delivered = 0;
  };

  const clock* time_;
  mutable std::mutex mutex_;
  std::unordered_map<pci::sbdf, std::unique_ptr<function_state>> functions_;
  std::map<domain_id, domain_state> domains_;
  std::map<unsigned, line_state> lines_;
  bool noirqdebug_ = false;
  std::atomic<std::uint64_t> hypercalls_{0}, config_accesses_{0}, lost_{0};
  mutable std::mutex claimed_mutex_;
  std::set<pci::sbdf> claimed_; ///< by handlers of uio, and not yet told
  doorbell claimed_bell_;
  std::uint64_t next_serial_ = 1;
  std::function<void(domain_id)> when_crashed_;
  std::function<void(const pci::sbdf&)> when_unprotected_;
  int next_failure_ = 0;
  unsigned failure_skip_ = 0;
  std::pair<std::string, int> failing_call_;
  bool no_iommu_ = false;
  std::atomic<bool> any_slow_{false};
  std::map<pci::sbdf, std::chrono::nanoseconds> slow_;
  struct {
    pci::sbdf address;
    std::uint16_t offset = 0;
    int error = 0;
  } failing_write_;
};

} // namespace platform::sim
